// vm has the examples for CUDA.

//go:build !cuda

package layers_test

import (
	"fmt"
	"log"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/ops"
)

func ExampleNewLinear() {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("x"), G.WithInit(G.RangedFrom(0)))
	l, err := layers.NewLinear(g, "hidden", tensor.Float64, 3, 4,
		layers.WithActivation(layers.Sigmoid), layers.WithInit(G.Ones()), layers.WithBiasInit(G.ValuesOf(-4.0)))
	if err != nil {
		log.Fatal(err)
	}
	y := l.Fwd(x)
	if err := y.Err(); err != nil {
		log.Fatal(err)
	}
	var v G.Value
	G.Read(y.Node(), &v)
	m := G.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Weights().Name(), l.Weights().Shape(), l.Bias().Name(), l.Bias().Shape())
	fmt.Printf("%v %.4f\n", v.Shape(), v.Data())
	// Output:
	// hidden.W (3, 4) hidden.b (4)
	// (2, 4) [0.2689 0.2689 0.2689 0.2689 0.9997 0.9997 0.9997 0.9997]
}

func ExampleNewSequential() {
	g := G.NewGraph()
	init := layers.WithInit(layers.GlorotUniform(1))
	first, err := layers.NewLinear(g, "first", tensor.Float32, 784, 512, init, layers.WithActivation(layers.ReLU))
	if err != nil {
		log.Fatal(err)
	}
	second, err := layers.NewLinear(g, "second", tensor.Float32, 512, 10, init)
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := layers.NewSequential("encoder", first, second)
	if err != nil {
		log.Fatal(err)
	}
	x := G.NewMatrix(g, tensor.Float32, G.WithShape(100, 784), G.WithName("x"))
	y := encoder.Fwd(x)
	if err := y.Err(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Node().Shape())
	for _, n := range encoder.Model() {
		fmt.Println(n.Name(), n.Shape())
	}
	// A wrong input gets an error that names the layer.
	fmt.Println(second.Fwd(x).Err())
	// Output:
	// (100, 10)
	// first.W (784, 512)
	// first.b (512)
	// second.W (512, 10)
	// second.b (10)
	// layers: Linear "second": Fwd: input x has shape (100, 784); want (batch, 512)
}

func ExampleGlorotUniform() {
	init := layers.GlorotUniform(1)
	fmt.Printf("%.4f\n", init(tensor.Float64, 3, 2))
	fmt.Printf("%.4f\n", init(tensor.Float64, 3, 2))
	fmt.Printf("%.4f\n", layers.GlorotUniform(1)(tensor.Float32, 3, 2))
	// Output:
	// [-0.5731 0.0020 -0.9859 -0.0231 0.5478 0.1590]
	// [-0.8426 -1.0830 0.5937 -0.4558 -0.8364 -0.0247]
	// [-0.5731 0.0020 -0.9859 -0.0231 0.5478 0.1590]
}

func ExampleNewCategoricalLatent() {
	g := G.NewGraph()
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	z, err := layers.NewCategoricalLatent("z", tau, 2, 3,
		ops.WithHard(), ops.WithSource(ops.NewSource(1)))
	if err != nil {
		log.Fatal(err)
	}
	// Two rows of two latents of three classes; the last latent prefers class 1.
	logits := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 6), G.WithName("logits"),
		G.WithValue(tensor.New(tensor.WithShape(2, 6), tensor.WithBacking([]float64{
			0, 0, 0, 0, 0, 0,
			0, 0, 0, 0, 9, 0,
		}))))
	if err := z.Fwd(logits).Err(); err != nil {
		log.Fatal(err)
	}
	kl, err := z.KL()
	if err != nil {
		log.Fatal(err)
	}
	var sample, divergence G.Value
	G.Read(z.Sample(), &sample)
	G.Read(kl, &divergence)
	m := G.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sample.Shape(), sample.Data())
	fmt.Printf("%v %.3f\n", divergence.Shape(), divergence.Data())
	// Output:
	// (2, 6) [0 0 1 1 0 0 0 0 1 0 1 0]
	// (2, 2) [0.000 0.000 0.000 1.096]
}
