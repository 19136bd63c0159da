package vm_test

import (
	"fmt"
	"log"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/vm"
)

// Training, on the CPU or, built with the tag cuda, on a GPU.
func Example() {
	g := G.NewGraph()
	w := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("w"), G.WithInit(G.Zeroes()))
	target := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("target"),
		G.WithValue(tensor.New(tensor.WithBacking([]float64{1, 2, 3}))))
	cost := G.Must(G.Sum(G.Must(G.Square(G.Must(G.Sub(w, target))))))
	var last G.Value
	G.Read(cost, &last)

	if _, err := G.Grad(cost, w); err != nil {
		log.Fatal(err)
	}
	gradients, err := vm.ReadGradients(w) // in place of BindDualValues
	if err != nil {
		log.Fatal(err)
	}
	m, err := vm.New(g) // in place of NewTapeMachine
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	solver := G.NewVanillaSolver(G.WithLearnRate(0.25))
	for range 4 {
		if err := m.RunAll(); err != nil {
			log.Fatal(err)
		}
		if err := solver.Step(gradients.ValueGrads()); err != nil {
			log.Fatal(err)
		}
		m.Reset()
	}
	fmt.Printf("cost %.3f, w %.3f\n", last.Data(), w.Value().Data())
	// Output: cost 0.219, w [0.938 1.875 2.812]
}
