package anneal

import (
	"fmt"
	"math"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		spec string
		want Schedule
	}{
		{"constant(0.5)", Constant(0.5)},
		{"constant(-3)", Constant(-3)},
		{"constant(+3.)", Constant(3)},
		{"constant(.25)", Constant(0.25)},
		{"constant(25E-2)", Constant(0.25)},
		{"constant(1e-999)", Constant(0)},
		{"exp(1,3e-5)", Exponential(1, 3e-5)},
		{"exp(2,-1e-3)", Exponential(2, -1e-3)},
		{"linear(1,0.1,1000)", Linear(1, 0.1, 1000)},
		{"linear(1,0.1,0001000)", Linear(1, 0.1, 1000)},
		{"cosine(1,0.0625,150000)", DALLE()},
		{"poly(1,0.1,2.5,1000)", Polynomial(1, 0.1, 2.5, 1000)},
		{"exp(1,3e-5).every(1000).atleast(0.5)", Jang(3e-5, 1000)},
		{"exp(1,3e-5).atleast(0.5).every(1000)", Jang(3e-5, 1000)},
		{"linear(1,0,840).every(7).every(10)", Linear(1, 0, 840).Every(7).Every(10)},
		{"linear(1,0,840).every(10).every(7)", Linear(1, 0, 840).Every(10).Every(7)},
		{"exp(1,1e-3).atleast(0.1).atleast(0.2)", Exponential(1, 1e-3).AtLeast(0.2)},
		{" exp ( 1 ,\t3e-5 )\n. every ( 1000 ) . atleast ( 0.5 ) \r\n", Jang(3e-5, 1000)},
	}
	for _, test := range tests {
		got, err := Parse(test.spec)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, step := range []int{0, 1, 6, 7, 9, 10, 69, 70, 500, 999, 1000, 23_999, 24_000, 75_000, 200_000} {
			if got(step) != test.want(step) {
				t.Errorf("%q: step %d: got %v, want %v", test.spec, step, got(step), test.want(step))
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	const (
		aSchedule = "expected constant, exp, linear, cosine or poly"
		aNumber   = "expected a finite decimal number such as 0.5 or 3e-5"
		aCount    = "expected a whole number from 1 to 9223372036854775807, in digits alone"
	)
	if math.MaxInt != math.MaxInt64 {
		t.Skip("the messages are those of a 64-bit int")
	}
	tests := []struct{ spec, want string }{
		{"", `at byte 0: found the end, ` + aSchedule},
		{"  ", `at byte 2: found the end, ` + aSchedule},
		{"0.5", `at byte 0: found a bare number; write constant(0.5)`},
		{" -3e-5 ", `at byte 1: found a bare number; write constant(-3e-5)`},
		{"0.5.every(10)", `at byte 0: found "0.5.every", ` + aSchedule},
		{"expo(1,2)", `at byte 0: found "expo", ` + aSchedule},
		{"Exp(1,2)", `at byte 0: found "Exp", ` + aSchedule},
		{"every(10)", `at byte 0: found "every", ` + aSchedule},
		{"(1)", `at byte 0: found "(", ` + aSchedule},
		{"τ(1)", `at byte 0: found "τ", ` + aSchedule},
		{"\xff", `at byte 0: found "\xff", ` + aSchedule},
		{"nan", `at byte 0: found "nan", ` + aSchedule},
		{"exp", `at byte 3: found the end, expected "("`},
		{"exp 1", `at byte 4: found "1", expected "("`},
		{"exp(1)", `exp takes 2 numbers (from, rate), got 1`},
		{"exp()", `exp takes 2 numbers (from, rate), got 0`},
		{"exp(1,2,3)", `exp takes 2 numbers (from, rate), got 3`},
		{"constant()", `constant takes 1 number (value), got 0`},
		{"linear(1,2)", `linear takes 3 numbers (from, to, steps), got 2`},
		{"cosine(1,2)", `cosine takes 3 numbers (from, to, steps), got 2`},
		{"poly(1,2,100)", `poly takes 4 numbers (from, to, power, steps), got 3`},
		{"exp(1,", `at byte 6: found the end, expected a number`},
		{"exp(1,)", `at byte 6: found ")", expected a number`},
		{"exp(,1)", `at byte 4: found ",", expected a number`},
		{"exp(1 2)", `at byte 6: found "2", expected "," or ")"`},
		{"exp(1,2", `at byte 7: found the end, expected "," or ")"`},
		{"exp(1,x)", `at byte 6: rate of exp is "x", ` + aNumber},
		{"exp(1-,2)", `at byte 4: from of exp is "1-", ` + aNumber},
		{"constant(NaN)", `at byte 9: value of constant is "NaN", ` + aNumber},
		{"constant(inf)", `at byte 9: value of constant is "inf", ` + aNumber},
		{"constant(-Infinity)", `at byte 9: value of constant is "-Infinity", ` + aNumber},
		{"constant(1e999)", `at byte 9: value of constant is "1e999", ` + aNumber},
		{"constant(0x1p-2)", `at byte 9: value of constant is "0x1p-2", ` + aNumber},
		{"constant(1_000)", `at byte 9: value of constant is "1_000", ` + aNumber},
		{"constant(.)", `at byte 9: value of constant is ".", ` + aNumber},
		{"constant(e)", `at byte 9: value of constant is "e", ` + aNumber},
		{"linear(1,2,1e3)", `at byte 11: steps of linear is "1e3", ` + aCount},
		{"linear(1,2,1000.0)", `at byte 11: steps of linear is "1000.0", ` + aCount},
		{"linear(1,2,0)", `at byte 11: steps of linear is "0", ` + aCount},
		{"cosine(1,2,-5)", `at byte 11: steps of cosine is "-5", ` + aCount},
		{"poly(1,2,3,+5)", `at byte 11: steps of poly is "+5", ` + aCount},
		{"linear(1,2,150_000)", `at byte 11: steps of linear is "150_000", ` + aCount},
		{"linear(1,2,99999999999999999999)", `at byte 11: steps of linear is "99999999999999999999", ` + aCount},
		{"constant(1)x", `at byte 11: found "x", expected "." or the end`},
		{"constant(1))", `at byte 11: found ")", expected "." or the end`},
		{"constant(1);", `at byte 11: found ";", expected "." or the end`},
		{"constant(1).", `at byte 12: found the end, expected every or atleast`},
		{"constant(1).floor(2)", `at byte 12: found "floor", expected every or atleast`},
		{"constant(1).exp(1,2)", `at byte 12: found "exp", expected every or atleast`},
		{"constant(1)..every(2)", `at byte 12: found ".every", expected every or atleast`},
		{"constant(1).every()", `every takes 1 number (n), got 0`},
		{"constant(1).every(1,2)", `every takes 1 number (n), got 2`},
		{"constant(1).every(0)", `at byte 18: n of every is "0", ` + aCount},
		{"constant(1).every(2.5)", `at byte 18: n of every is "2.5", ` + aCount},
		{"constant(1).atleast(low)", `at byte 20: v of atleast is "low", ` + aNumber},
	}
	for _, test := range tests {
		s, err := Parse(test.spec)
		if err == nil {
			t.Errorf("Parse(%q): no error, want %q", test.spec, test.want)
			continue
		}
		if s != nil {
			t.Errorf("Parse(%q): a schedule and an error", test.spec)
		}
		if got, want := err.Error(), fmt.Sprintf("anneal: Parse(%q): %s", test.spec, test.want); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}
