package anneal

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// Values computed with Python from the formulas, or exact by hand.
func TestValues(t *testing.T) {
	tests := []struct {
		name string
		s    Schedule
		step int
		want float64
	}{
		{"constant", Constant(0.7), 12, 0.7},
		{"exp half", Exponential(1, 1e-4), 5000, 0.6065306597126334},
		{"exp from 3", Exponential(3, 1e-4), 5000, 1.8195919791379003},
		{"exp rising", Exponential(1, -1e-4), 5000, 1.6487212707001282},
		{"linear quarter", Linear(2, 1, 4), 1, 1.75},
		{"linear rising", Linear(0, 6.6, 5000), 2500, 3.3},
		{"linear no steps", Linear(2, 1, 0), 0, 1},
		{"linear fewer than no steps", Linear(2, 1, -3), 0, 1},
		{"cosine quarter", Cosine(1, 0.0625, 150_000), 37_500, 0.8627063036811942},
		{"cosine third", Cosine(1, 0.0625, 150_000), 50_000, 0.765625},
		{"cosine no steps", Cosine(2, 1, 0), 0, 1},
		{"poly cube", Polynomial(2, 0.5, 3, 8), 2, 1.1328125},
		{"poly root", Polynomial(1, 0.25, 0.5, 4), 3, 0.625},
		{"poly power 0", Polynomial(2, 1, 0, 4), 3, 2},
		{"poly no steps", Polynomial(2, 1, 3, 0), 0, 1},
		{"every below", Exponential(1, 1).Every(10), 9, 1},
		{"every at", Linear(1, 0, 100).Every(10), 10, 0.9},
		{"at least", Linear(1, 0, 100).AtLeast(0.5), 90, 0.5},
		{"jang", Jang(1e-4, 1000), 5999, 0.6065306597126334},
		{"jang last above its floor", Jang(1e-4, 1000), 6999, 0.5488116360940264},
		{"jang floor", Jang(1e-4, 1000), 7000, 0.5},
		{"jang semi-supervised", Jang(3e-5, 2000), 17_999, 0.6187833918061408},
		{"wav2vec 2.0 start", Wav2Vec2(), 0, 2},
		{"wav2vec 2.0", Wav2Vec2(), 100_000, 1.2130598030905373},
		{"wav2vec 2.0 last above its floor", Wav2Vec2(), 277_258, 0.5000004476873285},
		{"wav2vec 2.0 floor", Wav2Vec2(), 277_259, 0.5},
		{"dall-e start", DALLE(), 0, 1},
		{"dall-e middle", DALLE(), 75_000, 0.53125},
		{"dall-e end", DALLE(), 150_000, 0.0625},
	}
	for _, test := range tests {
		got := test.s(test.step)
		if math.Abs(got-test.want) > 1e-14*math.Abs(test.want) {
			t.Errorf("%s: step %d: got %v, want %v", test.name, test.step, got, test.want)
		}
	}
}

func TestPolynomialOfPowerOneIsLinear(t *testing.T) {
	line, poly := Linear(0.9, 0.1, 97), Polynomial(0.9, 0.1, 1, 97)
	for step := range 100 {
		if line(step) != poly(step) {
			t.Errorf("step %d: linear %v, polynomial %v", step, line(step), poly(step))
		}
	}
}

// subject is a schedule that the laws below are held to. One that ends keeps
// its value at end from then on.
type subject struct {
	name     string
	s        Schedule
	from, to float64
	end      int
}

const never = -1

func subjects(t *testing.T) []subject {
	t.Helper()
	warmUp, err := Join([]int{50, 130}, Linear(2, 0.3, 50), Cosine(0.3, 0.1, 60), Exponential(0.1, 1e-3))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse("poly(1.3, 0.2, 0.9, 333).every(7).atleast(0.25)")
	if err != nil {
		t.Fatal(err)
	}
	return []subject{
		{"constant", Constant(0.7), 0.7, 0.7, 0},
		{"exp", Exponential(1.7, 1e-3), 1.7, 0, never},
		{"linear", Linear(0.9, 0.1, 777), 0.9, 0.1, 777},
		{"linear of one step", Linear(0.9, 0.1, 1), 0.9, 0.1, 1},
		{"cosine", Cosine(0.9, 0.1, 777), 0.9, 0.1, 777},
		{"poly", Polynomial(0.9, 0.1, 2.5, 777), 0.9, 0.1, 777},
		{"poly of power 0", Polynomial(0.9, 0.1, 0, 777), 0.9, 0.1, 777},
		{"poly of a power below 0", Polynomial(0.9, 0.1, -1, 777), 0.9, 0.1, 777},
		{"every", Linear(0.9, 0.1, 770).Every(7), 0.9, 0.1, 770},
		{"every twice", Linear(0.9, 0.1, 840).Every(7).Every(10), 0.9, 0.1, 840},
		{"at least", Cosine(0.9, 0.1, 777).AtLeast(0.3), 0.9, 0.3, 777},
		{"join", warmUp, 2, 0, never},
		{"join, staircase, floor", warmUp.Every(13).AtLeast(0.2), 2, 0.2, 5000},
		{"join of one", must(Join(nil, Linear(0.9, 0.1, 777))), 0.9, 0.1, 777},
		{"parsed", parsed, 1.3, 0.25, 333},
		{"jang", Jang(1e-3, 500), 1, 0.5, 1000},
		{"wav2vec 2.0", Wav2Vec2(), 2, 0.5, 277_259},
		{"dall-e", DALLE(), 1, 1.0 / 16, 150_000},
	}
}

func must(s Schedule, err error) Schedule {
	if err != nil {
		panic(err)
	}
	return s
}

// steps meets both sides of every subject's corners, and some between.
func steps(sub subject) []int {
	all := []int{0, 1, 2, 6, 7, 12, 13, 49, 50, 51, 129, 130, 131, 499, 500, 10_000, math.MaxInt - 1, math.MaxInt}
	if sub.end > 0 {
		all = append(all, sub.end-1, sub.end, sub.end+1)
	}
	return all
}

func TestLaws(t *testing.T) {
	for _, sub := range subjects(t) {
		t.Run(sub.name, func(t *testing.T) {
			checkPure(t, sub)
			checkEnds(t, sub)
			checkNegative(t, sub)
			checkEvery(t, sub)
			checkAtLeast(t, sub)
			checkCombinatorsCommute(t, sub)
		})
	}
}

// checkPure asks for the same steps in other orders.
func checkPure(t *testing.T, sub subject) {
	t.Helper()
	want := map[int]float64{}
	for _, step := range steps(sub) {
		want[step] = sub.s(step)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		order := steps(sub)
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, step := range order {
			if got := sub.s(step); got != want[step] {
				t.Errorf("step %d: got %v, before it was %v", step, got, want[step])
			}
		}
	}
}

func checkEnds(t *testing.T, sub subject) {
	t.Helper()
	if got := sub.s(0); got != sub.from {
		t.Errorf("step 0: got %v, want exactly %v", got, sub.from)
	}
	if sub.end == never {
		return
	}
	for _, step := range []int{sub.end, sub.end + 1, sub.end + 1_000_000, math.MaxInt} {
		if got := sub.s(step); got != sub.to {
			t.Errorf("step %d: got %v, want exactly %v", step, got, sub.to)
		}
	}
}

func checkNegative(t *testing.T, sub subject) {
	t.Helper()
	for _, step := range []int{-1, -7, -1000, math.MinInt} {
		if got := sub.s(step); got != sub.s(0) {
			t.Errorf("step %d: got %v, want %v as at step 0", step, got, sub.s(0))
		}
	}
}

func checkEvery(t *testing.T, sub subject) {
	t.Helper()
	for _, n := range []int{math.MinInt, -2, 0, 1, 2, 7, 1000, math.MaxInt} {
		stairs := sub.s.Every(n)
		for _, step := range steps(sub) {
			want := sub.s(step)
			if n > 1 {
				want = sub.s(step / n * n)
			}
			if got := stairs(step); got != want {
				t.Errorf("every %d: step %d: got %v, want %v", n, step, got, want)
			}
		}
	}
}

func checkAtLeast(t *testing.T, sub subject) {
	t.Helper()
	for _, floor := range []float64{math.Inf(-1), 0, 0.37, 5} {
		floored := sub.s.AtLeast(floor)
		for _, step := range steps(sub) {
			want := sub.s(step)
			if want < floor {
				want = floor
			}
			if got := floored(step); got != want {
				t.Errorf("at least %v: step %d: got %v, want %v", floor, step, got, want)
			}
		}
	}
}

func checkCombinatorsCommute(t *testing.T, sub subject) {
	t.Helper()
	a, b := sub.s.Every(9).AtLeast(0.4), sub.s.AtLeast(0.4).Every(9)
	for _, step := range steps(sub) {
		if a(step) != b(step) {
			t.Errorf("step %d: every, at least: %v; at least, every: %v", step, a(step), b(step))
		}
	}
}

// An annealing schedule does not rise, not even by rounding.
func TestFalling(t *testing.T) {
	for name, s := range map[string]Schedule{
		"exp":    Exponential(1, 1e-3),
		"linear": Linear(1, 0.1, 3000),
		"cosine": Cosine(1, 0.1, 3000),
		"poly":   Polynomial(1, 0.1, 1.7, 3000),
	} {
		for step := range 3001 {
			if s(step+1) > s(step) {
				t.Errorf("%s: rises from %v to %v at step %d", name, s(step), s(step+1), step+1)
			}
		}
	}
}

func TestAtLeastKeepsNaN(t *testing.T) {
	if got := Constant(math.NaN()).AtLeast(0.5)(0); !math.IsNaN(got) {
		t.Errorf("got %v, want NaN", got)
	}
}

func TestCombinatorsOfNil(t *testing.T) {
	if s := Schedule(nil).Every(10); s != nil {
		t.Error("Every of nil is not nil")
	}
	if s := Schedule(nil).AtLeast(1); s != nil {
		t.Error("AtLeast of nil is not nil")
	}
}

func TestJoin(t *testing.T) {
	count := Schedule(func(step int) float64 { return float64(step) })
	s := must(Join([]int{3, 5}, count, Constant(-1), count))
	want := []float64{0, 1, 2, -1, -1, 0, 1, 2}
	for step, w := range want {
		if got := s(step); got != w {
			t.Errorf("step %d: got %v, want %v", step, got, w)
		}
	}
}

func TestJoinKeepsItsOwnCopies(t *testing.T) {
	boundaries := []int{10}
	parts := []Schedule{Constant(1), Constant(2)}
	s := must(Join(boundaries, parts...))
	boundaries[0], parts[0] = 1, Constant(3)
	if got := s(5); got != 1 {
		t.Errorf("got %v, want 1: the caller's slices changed the schedule", got)
	}
}

func TestJoinErrors(t *testing.T) {
	c := Constant(1)
	tests := []struct {
		boundaries []int
		schedules  []Schedule
		want       string
	}{
		{nil, nil, "0 schedules for 0 boundaries, want one schedule more"},
		{[]int{1}, []Schedule{c}, "1 schedules for 1 boundaries"},
		{[]int{1}, []Schedule{c, c, c}, "3 schedules for 1 boundaries"},
		{[]int{0}, []Schedule{c, c}, "boundaries[0] is 0, want a step above 0"},
		{[]int{-5}, []Schedule{c, c}, "boundaries[0] is -5, want a step above 0"},
		{[]int{5, 5}, []Schedule{c, c, c}, "boundaries[1] is 5, want a step above 5"},
		{[]int{5, 9, 7}, []Schedule{c, c, c, c}, "boundaries[2] is 7, want a step above 9"},
		{[]int{5}, []Schedule{c, nil}, "schedules[1] is nil"},
		{nil, []Schedule{nil}, "schedules[0] is nil"},
	}
	for _, test := range tests {
		s, err := Join(test.boundaries, test.schedules...)
		if s != nil || err == nil || !strings.HasPrefix(err.Error(), "anneal: Join: "+test.want) {
			t.Errorf("Join(%v, %d schedules): error %v, want %q", test.boundaries, len(test.schedules), err, test.want)
		}
	}
}

// DALLE-pytorch (train_vae.py) multiplies the temperature it has by the decay
// of the whole run so far, so the decay compounds: about exp(−rate·t²/200).
func TestDecayDoesNotCompound(t *testing.T) {
	const rate, n, floor = 1e-6, 100, 0.5
	wrong := func(last int) float64 {
		temp := 1.0
		for step := 0; step <= last; step += n {
			temp = max(temp*math.Exp(-rate*float64(step)), floor)
		}
		return temp
	}
	ours := Exponential(1, rate).Every(n).AtLeast(floor)

	if first := firstAt(wrong, n, floor); first != 11_800 {
		t.Errorf("the compounding annealer reaches its floor at %d, want 11800", first)
	}
	if got, want := ours(11_800), 0.9882693469672547; math.Abs(got-want) > 1e-14 {
		t.Errorf("step 11800: got %v, want %v", got, want)
	}
	// ln 2/1e-6 = 693147.2, and the next update
	if first := firstAt(ours, n, floor); first != 693_200 {
		t.Errorf("ours reaches its floor at %d, want 693200", first)
	}
}

// firstAt returns the first multiple of n at which s, which falls, is v.
func firstAt(s func(step int) float64, n int, v float64) int {
	step := 0
	for s(step) > v {
		step += n
	}
	return step
}

// YongfeiYan's annealer (gumbel_softmax_vae.py) decays by the number of the
// batch in its epoch and starts each epoch at 1, so it never comes down.
func TestDecayOutlivesTheEpoch(t *testing.T) {
	const rate, floor, epochs, batches = 3e-5, 0.5, 50, 600
	ours := Exponential(1, rate).AtLeast(floor)

	lowest, global := math.Inf(1), 0
	for range epochs {
		temp := 1.0
		for batch := range batches {
			if batch%100 == 1 {
				temp = max(temp*math.Exp(-rate*float64(batch)), floor)
			}
			lowest = min(lowest, temp)
			if want := max(math.Exp(-rate*float64(global)), floor); ours(global) != want {
				t.Fatalf("step %d: got %v, want %v", global, ours(global), want)
			}
			global++
		}
	}
	if math.Abs(lowest-0.9558254177726) > 1e-12 {
		t.Errorf("the annealer that starts again falls to %v, want 0.9558254177726", lowest)
	}
	// ln 2/3e-5 = 23104.9: in the 39th epoch
	if first := firstAt(ours, 1, floor); first != 23_105 {
		t.Errorf("ours reaches its floor at %d, want 23105", first)
	}
}
