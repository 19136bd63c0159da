package anneal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads a schedule written as text, for flags and files, such as
//
//	exp(1,3e-5).every(1000).atleast(0.5)
//
// A spec is a schedule, followed by any number of changes that apply from left to
// right:
//
//	spec     = schedule { "." change } .
//	schedule = "constant" "(" value ")"
//	         | "exp"      "(" from "," rate ")"
//	         | "linear"   "(" from "," to "," steps ")"
//	         | "cosine"   "(" from "," to "," steps ")"
//	         | "poly"     "(" from "," to "," power "," steps ")" .
//	change   = "every" "(" n ")" | "atleast" "(" v ")" .
//
//	value, from, to, rate, power, v = number .
//	steps, n                        = digit { digit } .
//	number = [ sign ] ( digit { digit } [ "." { digit } ] | "." digit { digit } )
//	         [ ( "e" | "E" ) [ sign ] digit { digit } ] .
//	sign   = "+" | "-" .
//	digit  = "0" … "9" .
//
// The parts are the functions of this package: exp is [Exponential], poly is
// [Polynomial]. Names are in lower case. Spaces, tabs and line ends are
// allowed between names, numbers and marks. Numbers are decimal and finite: no NaN, no
// Inf, no hexadecimal, no underscores; one too small for a float64 is 0. Steps
// and n are at least 1.
//
// The error for a bad spec says what was found, at which byte (counted from 0),
// and what was expected.
func Parse(spec string) (Schedule, error) {
	p := parser{spec: spec}
	s, err := p.schedule()
	if err != nil {
		return nil, fmt.Errorf("anneal: Parse(%q): %w", spec, err)
	}
	return s, nil
}

// form is a function of the grammar: its name, and those of its arguments.
type form struct {
	name    string
	numbers []string
	count   string // a last argument that counts steps; "" for none
	apply   func(s Schedule, v []float64, n int) Schedule
}

var scheduleForms = []form{
	{"constant", []string{"value"}, "", func(_ Schedule, v []float64, _ int) Schedule { return Constant(v[0]) }},
	{"exp", []string{"from", "rate"}, "", func(_ Schedule, v []float64, _ int) Schedule { return Exponential(v[0], v[1]) }},
	{"linear", []string{"from", "to"}, "steps", func(_ Schedule, v []float64, n int) Schedule { return Linear(v[0], v[1], n) }},
	{"cosine", []string{"from", "to"}, "steps", func(_ Schedule, v []float64, n int) Schedule { return Cosine(v[0], v[1], n) }},
	{"poly", []string{"from", "to", "power"}, "steps", func(_ Schedule, v []float64, n int) Schedule { return Polynomial(v[0], v[1], v[2], n) }},
}

var changeForms = []form{
	{"every", nil, "n", func(s Schedule, _ []float64, n int) Schedule { return s.Every(n) }},
	{"atleast", []string{"v"}, "", func(s Schedule, v []float64, _ int) Schedule { return s.AtLeast(v[0]) }},
}

const (
	spaces       = " \t\r\n"
	digits       = "0123456789"
	decimalChars = digits + "+-.eE"
	nameChars    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_" + digits
	wordChars    = nameChars + "+-." // an argument, whether it is a number or not
)

type parser struct {
	spec string
	pos  int
}

func (p *parser) schedule() (Schedule, error) {
	if text := p.peek(wordChars); isNumber(text) {
		return nil, fmt.Errorf("at byte %d: found a bare number; write constant(%s)", p.pos, text)
	}
	s, err := p.call(nil, scheduleForms)
	for err == nil && p.accept(".") {
		s, err = p.call(s, changeForms)
	}
	if err == nil && p.pos < len(p.spec) {
		err = p.expected(`"." or the end`)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// call reads one of the forms with its arguments and applies it to s.
func (p *parser) call(s Schedule, forms []form) (Schedule, error) {
	f, ok := find(forms, p.peek(nameChars))
	if !ok {
		return nil, p.expected(oneOf(forms))
	}
	p.pos += len(f.name)
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	v, n, err := f.read(args)
	if err != nil {
		return nil, err
	}
	return f.apply(s, v, n), nil
}

type argument struct {
	text string
	at   int
}

// arguments reads "(", the arguments, and ")".
func (p *parser) arguments() ([]argument, error) {
	if !p.accept("(") {
		return nil, p.expected(`"("`)
	}
	if p.accept(")") {
		return nil, nil
	}
	var args []argument
	for {
		text := p.peek(wordChars)
		if text == "" {
			return nil, p.expected("a number")
		}
		args = append(args, argument{text, p.pos})
		p.pos += len(text)
		if p.accept(")") {
			return args, nil
		}
		if !p.accept(",") {
			return nil, p.expected(`"," or ")"`)
		}
	}
}

// read turns the arguments of f into its numbers and its count.
func (f form) read(args []argument) (v []float64, n int, err error) {
	params := f.numbers
	if f.count != "" {
		params = append(params[:len(params):len(params)], f.count)
	}
	if len(args) != len(params) {
		plural := "s"
		if len(params) == 1 {
			plural = ""
		}
		return nil, 0, fmt.Errorf("%s takes %d number%s (%s), got %d",
			f.name, len(params), plural, strings.Join(params, ", "), len(args))
	}
	for i, a := range args {
		want := "a finite decimal number such as 0.5 or 3e-5"
		ok := false
		if i < len(f.numbers) {
			var x float64
			x, ok = number(a.text)
			v = append(v, x)
		} else {
			want = fmt.Sprintf("a whole number from 1 to %d, in digits alone", math.MaxInt)
			n, ok = count(a.text)
		}
		if !ok {
			return nil, 0, fmt.Errorf("at byte %d: %s of %s is %q, expected %s", a.at, params[i], f.name, a.text, want)
		}
	}
	return v, n, nil
}

// number reads a decimal. It looks at the characters first because ParseFloat
// also takes "inf", "nan", "0x1p-2" and "1_000".
func number(text string) (float64, bool) {
	if strings.Trim(text, decimalChars) != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

func isNumber(text string) bool {
	_, ok := number(text)
	return ok
}

// count reads a whole number of at least 1, without a sign.
func count(text string) (int, bool) {
	if strings.Trim(text, digits) != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

// skip moves past spaces and returns what follows.
func (p *parser) skip() string {
	rest := strings.TrimLeft(p.spec[p.pos:], spaces)
	p.pos = len(p.spec) - len(rest)
	return rest
}

// peek returns the characters of set that come next, and stays before them.
func (p *parser) peek(set string) string {
	rest := p.skip()
	return rest[:len(rest)-len(strings.TrimLeft(rest, set))]
}

// accept moves past mark if it comes next.
func (p *parser) accept(mark string) bool {
	if !strings.HasPrefix(p.skip(), mark) {
		return false
	}
	p.pos += len(mark)
	return true
}

// expected returns the error that what comes next is not what is wanted.
func (p *parser) expected(want string) error {
	found := "the end"
	if text := p.peek(wordChars); text != "" {
		found = strconv.Quote(text)
	} else if rest := p.skip(); rest != "" {
		_, size := utf8.DecodeRuneInString(rest)
		found = strconv.Quote(rest[:size])
	}
	return fmt.Errorf("at byte %d: found %s, expected %s", p.pos, found, want)
}

func find(forms []form, name string) (form, bool) {
	for _, f := range forms {
		if f.name == name {
			return f, true
		}
	}
	return form{}, false
}

// oneOf lists the forms as "a, b or c".
func oneOf(forms []form) string {
	var b strings.Builder
	for i, f := range forms {
		switch {
		case i == 0:
		case i == len(forms)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(f.name)
	}
	return b.String()
}
