/**
 * Remembers which kinds of matrix products cuBLAS has computed before. The first product of a kind may load a kernel, and
 * cuBLAS does not say beforehand which kernel it will choose. A kind is the types, the sizes and the alignment, which must
 * include everything that the choice depends on.
 */
import type { MatrixProduct } from "../../driver.js"

/** After this many kinds, all are forgotten. A program with so many shapes rarely loads a new kernel. */
const MOST = 4096
/** Three sizes below this limit fit exactly into one number. */
const SIZE_LIMIT = 2 ** 17
const TYPES = { float32: 0, float16: 1, bfloat16: 2 } as const
/** Addresses are compared modulo this many bytes. */
const ALIGNMENTS = 16

/** The known kinds of one device. */
export class KnownProducts {
  readonly #sizes = new Map<number, Set<number | string>>()
  #count = 0

  has(product: MatrixProduct): boolean {
    return this.#sizes.get(kindOf(product))?.has(sizesOf(product)) === true
  }

  add(product: MatrixProduct): void {
    if (this.#count === MOST) {
      this.#sizes.clear()
      this.#count = 0
    }
    const kind = kindOf(product)
    const known = this.#sizes.get(kind)
    if (known === undefined) this.#sizes.set(kind, new Set([sizesOf(product)]))
    else known.add(sizesOf(product))
    this.#count += 1
  }
}

function kindOf({ inputs, output, transposeA, transposeB, count, a, b, out }: MatrixProduct): number {
  const types = TYPES[inputs] * 3 + TYPES[output]
  const layout = Number(transposeA) * 4 + Number(transposeB) * 2 + Number(count > 1)
  return (types * 8 + layout) * ALIGNMENTS + ((a | b | out) & (ALIGNMENTS - 1))
}

function sizesOf({ m, n, k }: MatrixProduct): number | string {
  if (m < SIZE_LIMIT && n < SIZE_LIMIT && k < SIZE_LIMIT) return (m * SIZE_LIMIT + n) * SIZE_LIMIT + k
  return `${m} ${n} ${k}`
}
