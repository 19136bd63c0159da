// Package philox computes random bits as a pure function of a key and a counter.
// So any part of a random array can be computed by itself, in any order and on any
// device.
//
// The generator is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
// Random Numbers: As Easy as 1, 2, 3" (SC 2011).
package philox

import "math/bits"

// The multipliers of a round.
const (
	Multiplier0 = 0xD2511F53
	Multiplier1 = 0xCD9E8D57
)

// What a round adds to the words of the key.
const (
	weyl0 = 0x9E3779B9 // golden ratio
	weyl1 = 0xBB67AE85 // sqrt(3) - 1
)

// Key selects one of 2^64 independent sequences.
type Key [2]uint32

// DeriveKey returns the key of a stream of a seed: the first two words of the block
// with the seed as key and the number of the stream as counter. So the keys of a
// seed's streams are as unrelated as random words.
func DeriveKey(seed, stream uint64) Key {
	block := Block([4]uint32{uint32(stream), uint32(stream >> 32)}, Key{uint32(seed), uint32(seed >> 32)})
	return Key{block[0], block[1]}
}

// Rounds returns the keys of the ten rounds: their first words, then their second
// words. The key of the first round is k itself.
func (k Key) Rounds() (words [20]uint32) {
	for i := range uint32(10) {
		words[i], words[10+i] = k[0]+i*weyl0, k[1]+i*weyl1
	}
	return words
}

// Block returns the four random words of a counter.
func Block(counter [4]uint32, key Key) [4]uint32 {
	c0, c1, c2, c3 := block(counter[0], counter[1], counter[2], counter[3], key)
	return [4]uint32{c0, c1, c2, c3}
}

// block is Block on registers. Its rounds are written out, because a loop takes one
// and a half times as long.
func block(c0, c1, c2, c3 uint32, key Key) (uint32, uint32, uint32, uint32) {
	k0, k1 := key[0], key[1]
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+weyl0, k1+weyl1)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+2*weyl0&mask, k1+2*weyl1&mask)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+3*weyl0&mask, k1+3*weyl1&mask)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+4*weyl0&mask, k1+4*weyl1&mask)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+5*weyl0&mask, k1+5*weyl1&mask)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+6*weyl0&mask, k1+6*weyl1&mask)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+7*weyl0&mask, k1+7*weyl1&mask)
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0+8*weyl0&mask, k1+8*weyl1&mask)
	return round(c0, c1, c2, c3, k0+9*weyl0&mask, k1+9*weyl1&mask)
}

// mask keeps multiples of the Weyl constants in 32 bits.
const mask = 1<<32 - 1

func round(c0, c1, c2, c3, k0, k1 uint32) (uint32, uint32, uint32, uint32) {
	hi0, lo0 := bits.Mul32(Multiplier0, c0)
	hi1, lo1 := bits.Mul32(Multiplier1, c2)
	return hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0
}

const (
	// Group is the number of elements whose words come from one run of
	// consecutive blocks: see Fill. Blocks is the number of blocks in it.
	Group  = 4 * Blocks
	Blocks = 16
)

// Fill sets dst[i] to the random word of element start+i of a draw.
//
// Element n lies in group n/64. With r = n mod 64, its word is number r/16 of
// the block whose counter is (16·(n/64) + r mod 16, draw), both as 64 bits,
// low word first. So sixteen blocks side by side have four runs of sixteen consecutive
// elements, and vector code stores its registers as they are.
func Fill(dst []uint32, key Key, draw, start uint64) {
	for len(dst) > 0 {
		offset := int(start % Group)
		n := min(Group-offset, len(dst))
		fillGroup(dst[:n], key, draw, start/Group, offset)
		dst = dst[n:]
		start += uint64(n)
	}
}

// fillGroup sets dst to the words [offset, offset+len(dst)) of a group.
func fillGroup(dst []uint32, key Key, draw, group uint64, offset int) {
	draw0, draw1 := uint32(draw), uint32(draw>>32)
	first := group * Blocks
	if len(dst) == Group {
		whole := (*[Group]uint32)(dst)
		for b := range Blocks {
			n := first + uint64(b)
			whole[b], whole[b+Blocks], whole[b+2*Blocks], whole[b+3*Blocks] =
				block(uint32(n), uint32(n>>32), draw0, draw1, key)
		}
		return
	}
	// Short spans need only the blocks that they touch.
	for i := 0; i < min(Blocks, len(dst)); i++ {
		n := first + uint64((offset+i)%Blocks)
		words := Block([4]uint32{uint32(n), uint32(n >> 32), draw0, draw1}, key)
		for j := i; j < len(dst); j += Blocks {
			dst[j] = words[(offset+j)/Blocks]
		}
	}
}
