//go:build purego || !amd64

package kernel

var level = levelGo
