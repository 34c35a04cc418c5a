/**
 * Which matrix products cuBLAS has computed before: the first of a kind may have to load a kernel, and nothing tells
 * beforehand which one it will take. It goes by types, sizes and alignments.
 */
import type { MatrixProduct } from "../../driver.js"

/** More are forgotten: a program with that many shapes hardly ever has a new kernel to load. */
const MOST = 4096
/** Sizes below are told apart by one number each. */
const SIZE_LIMIT = 2 ** 17
const TYPES = { float32: 0, float16: 1, bfloat16: 2 } as const
/** Of addresses in bytes. */
const ALIGNMENTS = 16

/** The kinds of one device. */
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
