package cu

import "fmt"

// Device is a CUDA device. There is one, number 0.
type Device int

// CPU is the host, BadDevice none.
const (
	CPU       Device = -1
	BadDevice Device = -2
)

// totalMemory is the size of the device's memory.
const totalMemory = 8 << 30

// DeviceAttribute is a property of a device, numbered as the driver does.
type DeviceAttribute int

// The attributes that the stand-in has.
const (
	MaxThreadsPerBlock      DeviceAttribute = 1
	MaxBlockDimX            DeviceAttribute = 2
	MaxBlockDimY            DeviceAttribute = 3
	MaxBlockDimZ            DeviceAttribute = 4
	MaxGridDimX             DeviceAttribute = 5
	MaxGridDimY             DeviceAttribute = 6
	MaxGridDimZ             DeviceAttribute = 7
	MaxSharedMemoryPerBlock DeviceAttribute = 8
	WarpSize                DeviceAttribute = 10
	MultiprocessorCount     DeviceAttribute = 16
	ComputeCapabilityMajor  DeviceAttribute = 75
	ComputeCapabilityMinor  DeviceAttribute = 76
)

var attributes = map[DeviceAttribute]int{
	MaxThreadsPerBlock:      1024,
	MaxBlockDimX:            1024,
	MaxBlockDimY:            1024,
	MaxBlockDimZ:            64,
	MaxGridDimX:             1<<31 - 1,
	MaxGridDimY:             1<<16 - 1,
	MaxGridDimZ:             1<<16 - 1,
	MaxSharedMemoryPerBlock: 48 << 10,
	WarpSize:                32,
	MultiprocessorCount:     1,
	ComputeCapabilityMajor:  5,
	ComputeCapabilityMinor:  2,
}

// NumDevices returns the number of devices.
func NumDevices() (count int, err error) { return 1, nil }

// GetDevice returns a device by its number.
func GetDevice(ordinal int) (device Device, err error) {
	if ordinal != 0 {
		return 0, InvalidDevice
	}
	return 0, nil
}

// Name returns the name of the device.
func (d Device) Name() (string, error) { return "CPU stand-in", nil }

// TotalMem returns the bytes of memory that the device has.
func (dev Device) TotalMem() (bytes int64, err error) { return totalMemory, nil }

// Attribute gets an attribute.
func (dev Device) Attribute(attrib DeviceAttribute) (pi int, err error) {
	if dev != 0 {
		return 0, InvalidDevice
	}
	value, ok := attributes[attrib]
	if !ok {
		return 0, InvalidValue
	}
	return value, nil
}

// Attributes gets several attributes.
func (dev Device) Attributes(attrs ...DeviceAttribute) ([]int, error) {
	values := make([]int, len(attrs))
	for i, a := range attrs {
		var err error
		if values[i], err = dev.Attribute(a); err != nil {
			return values, err
		}
	}
	return values, nil
}

// ComputeCapability returns the compute capability of the device.
func (d Device) ComputeCapability() (major, minor int, err error) {
	return attributes[ComputeCapabilityMajor], attributes[ComputeCapabilityMinor], nil
}

// String implements fmt.Stringer.
func (d Device) String() string {
	switch {
	case d == CPU:
		return "CPU"
	case d < 0:
		return "Invalid Device"
	}
	return fmt.Sprintf("GPU(%d)", int(d))
}

// IsGPU returns true if the device is a GPU.
func (d Device) IsGPU() bool { return d >= 0 }
