module github.com/gumbel-go/gumbel/internal/kernel/asm

go 1.25

require (
	github.com/gumbel-go/gumbel v0.0.0
	github.com/mmcloughlin/avo v0.5.0
)

require (
	golang.org/x/mod v0.6.0 // indirect
	golang.org/x/sys v0.38.0 // indirect
	golang.org/x/tools v0.2.0 // indirect
)

replace github.com/gumbel-go/gumbel => ../../..
