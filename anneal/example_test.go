package anneal_test

import (
	"encoding/json"
	"fmt"
	"log"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/anneal"
)

func ExampleConstant() {
	s := anneal.Constant(1.5)
	fmt.Printf("%.4f %.4f\n", s(0), s(1000))
	// Output: 1.5000 1.5000
}

func ExampleExponential() {
	s := anneal.Exponential(1, 1e-4)
	fmt.Printf("%.4f %.4f %.4f\n", s(0), s(5000), s(10_000))
	// Output: 1.0000 0.6065 0.3679
}

func ExampleLinear() {
	s := anneal.Linear(1, 0.5, 1000)
	fmt.Printf("%.4f %.4f %.4f %.4f\n", s(0), s(500), s(1000), s(2000))
	// Output: 1.0000 0.7500 0.5000 0.5000
}

func ExampleCosine() {
	s := anneal.Cosine(1, 0.5, 1000)
	fmt.Printf("%.4f %.4f %.4f %.4f\n", s(0), s(250), s(500), s(1000))
	// Output: 1.0000 0.9268 0.7500 0.5000
}

func ExamplePolynomial() {
	s := anneal.Polynomial(1, 0.5, 2, 1000)
	fmt.Printf("%.4f %.4f %.4f\n", s(0), s(500), s(1000))
	// Output: 1.0000 0.6250 0.5000
}

// A warm-up of 1,000 steps, then a decay that begins where it ended.
func ExampleJoin() {
	s, err := anneal.Join([]int{1000}, anneal.Linear(2, 1, 1000), anneal.Exponential(1, 1e-4))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f %.4f %.4f %.4f\n", s(0), s(500), s(1000), s(6000))
	// Output: 2.0000 1.5000 1.0000 0.6065
}

func ExampleSchedule_Every() {
	s := anneal.Linear(1, 0, 1000).Every(100)
	fmt.Printf("%.4f %.4f %.4f %.4f\n", s(0), s(99), s(100), s(199))
	// Output: 1.0000 1.0000 0.9000 0.9000
}

func ExampleSchedule_AtLeast() {
	s := anneal.Exponential(1, 1e-4).AtLeast(0.5)
	fmt.Printf("%.4f %.4f\n", s(5000), s(10_000))
	// Output: 0.6065 0.5000
}

func ExampleJang() {
	s := anneal.Jang(1e-4, 1000)
	fmt.Printf("%.4f %.4f %.4f %.4f\n", s(0), s(999), s(1000), s(7000))
	// Output: 1.0000 1.0000 0.9048 0.5000
}

func ExampleWav2Vec2() {
	s := anneal.Wav2Vec2()
	fmt.Printf("%.4f %.4f %.4f\n", s(0), s(100_000), s(277_259))
	// Output: 2.0000 1.2131 0.5000
}

func ExampleDALLE() {
	s := anneal.DALLE()
	fmt.Printf("%.4f %.4f %.4f\n", s(0), s(75_000), s(150_000))
	// Output: 1.0000 0.5312 0.0625
}

func ExampleParse() {
	s, err := anneal.Parse("exp(1,3e-5).every(1000).atleast(0.5)")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f %.4f %.4f\n", s(0), s(10_500), s(24_000))

	_, err = anneal.Parse("exp(1)")
	fmt.Println(err)
	// Output:
	// 1.0000 0.7408 0.5000
	// anneal: Parse("exp(1)"): exp takes 2 numbers (from, rate), got 1
}

// The temperature divides the logits of a graph, and falls from run to run.
func ExampleNewTemperature() {
	g := G.NewGraph()
	tau, err := anneal.NewTemperature(g, tensor.Float64, anneal.Linear(1, 0.25, 3))
	if err != nil {
		log.Fatal(err)
	}
	logits := G.NewVector(g, tensor.Float64, G.WithName("logits"), G.WithShape(2),
		G.WithValue(tensor.New(tensor.WithBacking([]float64{1, 2}))))
	scaled := G.Must(G.HadamardDiv(logits, tau.Node()))
	var out G.Value
	G.Read(scaled, &out)

	m := G.NewTapeMachine(g)
	defer m.Close()
	for range 4 {
		if err := m.RunAll(); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("tau %.2f: %.2f\n", tau.Value(), out.Data())
		m.Reset()
		if err := tau.Step(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// tau 1.00: [1.00 2.00]
	// tau 0.75: [1.33 2.67]
	// tau 0.50: [2.00 4.00]
	// tau 0.25: [4.00 8.00]
}

// A run stops after two steps; another goes on from what it saved.
func ExampleTemperature_UnmarshalJSON() {
	schedule := anneal.Linear(1, 0.5, 10)
	first, err := anneal.NewTemperature(G.NewGraph(), tensor.Float32, schedule)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if err := first.Step(); err != nil {
			log.Fatal(err)
		}
	}
	saved, err := json.Marshal(first)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", saved)

	second, err := anneal.NewTemperature(G.NewGraph(), tensor.Float32, schedule)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(saved, second); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f\n", second.Value())
	// Output:
	// {"step":2}
	// 0.90
}
