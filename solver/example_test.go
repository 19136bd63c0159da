package solver_test

import (
	"encoding/json"
	"fmt"
	"log"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/anneal"
	"github.com/gumbel-go/gumbel/solver"
	"github.com/gumbel-go/gumbel/vm"
)

// line is a graph of the cost Σ (w·x + b − y)² / n for y = 3x − 1.
func line() (m *vm.Machine, gradients *vm.Gradients, cost *G.Value, learnables G.Nodes) {
	g := G.NewGraph()
	values := func(f func(x float64) float64) G.NodeConsOpt {
		data := make([]float64, 8)
		for i := range data {
			data[i] = f(float64(i)/4 - 1)
		}
		return G.WithValue(tensor.New(tensor.WithShape(8), tensor.WithBacking(data)))
	}
	x := G.NewVector(g, tensor.Float64, G.WithShape(8), G.WithName("x"), values(func(x float64) float64 { return x }))
	y := G.NewVector(g, tensor.Float64, G.WithShape(8), G.WithName("y"), values(func(x float64) float64 { return 3*x - 1 }))
	w := G.NewScalar(g, tensor.Float64, G.WithName("w"), G.WithValue(0.0))
	b := G.NewScalar(g, tensor.Float64, G.WithName("b"), G.WithValue(0.0))
	predicted := G.Must(G.Add(G.Must(G.Mul(x, w)), b))
	loss := G.Must(G.Mean(G.Must(G.Square(G.Must(G.Sub(predicted, y))))))
	cost = new(G.Value)
	G.Read(loss, cost)
	if _, err := G.Grad(loss, w, b); err != nil {
		log.Fatal(err)
	}
	gradients, err := vm.ReadGradients(w, b)
	if err != nil {
		log.Fatal(err)
	}
	if m, err = vm.New(g); err != nil {
		log.Fatal(err)
	}
	return m, gradients, cost, G.Nodes{w, b}
}

// A training loop, with a learning rate that falls from 0.1 to 0.
func Example() {
	m, gradients, cost, learnables := line()
	defer m.Close()
	adam, err := solver.NewAdam(solver.WithSchedule(anneal.Cosine(0.1, 0, 300)))
	if err != nil {
		log.Fatal(err)
	}
	for range 300 {
		if err := m.RunAll(); err != nil {
			log.Fatal(err)
		}
		if err := adam.Step(gradients.ValueGrads()); err != nil {
			log.Fatal(err)
		}
		m.Reset() // without it, the next run would do nothing
	}
	fmt.Printf("cost %.3f, w %.2f, b %.2f\n", (*cost).Data(), learnables[0].Value().Data(), learnables[1].Value().Data())
	// Output: cost 0.000, w 3.00, b -1.00
}

// checkpoint is what a program saves of a run.
type checkpoint struct {
	Weights []float64
	Adam    *solver.Adam
}

// A run that is saved and resumed ends with the same bits as one that is not.
func ExampleAdam() {
	train := func(from *checkpoint, steps int) *checkpoint {
		m, gradients, _, learnables := line()
		defer m.Close()
		for i, n := range learnables {
			if err := G.Let(n, from.Weights[i]); err != nil {
				log.Fatal(err)
			}
		}
		for range steps {
			if err := m.RunAll(); err != nil {
				log.Fatal(err)
			}
			if err := from.Adam.Step(gradients.ValueGrads()); err != nil {
				log.Fatal(err)
			}
			m.Reset()
		}
		to := &checkpoint{Adam: from.Adam}
		for _, n := range learnables {
			to.Weights = append(to.Weights, n.Value().Data().(float64))
		}
		return to
	}
	start := func() *checkpoint {
		adam, err := solver.NewAdam(solver.WithLearningRate(0.1))
		if err != nil {
			log.Fatal(err)
		}
		return &checkpoint{Weights: []float64{0, 0}, Adam: adam}
	}

	text, err := json.Marshal(train(start(), 20))
	if err != nil {
		log.Fatal(err)
	}
	var saved checkpoint
	if err := json.Unmarshal(text, &saved); err != nil {
		log.Fatal(err)
	}
	resumed, whole := train(&saved, 30), train(start(), 50)
	fmt.Println(resumed.Weights[0] == whole.Weights[0], resumed.Weights[1] == whole.Weights[1], resumed.Adam.Steps())
	// Output: true true 50
}
