/** Checks the sizes of a product, and where its rows and matrices begin. */
import { checkBoolean, checkInteger, checkOptions } from "../common/check.js"
import { AuxstreamError } from "../common/errors.js"
import type { ProductLayout } from "../driver/products.js"
import type { MatmulBatch, MatmulShape } from "./options.js"
import type { Product } from "./product.js"

const LARGEST = 2 ** 31 - 1

const batchNames: ReadonlySet<string> = new Set([
  ...(["count", "strideA", "strideB", "strideOut"] satisfies (keyof MatmulBatch)[]),
])

/** Checks a shape, and applies the defaults. */
export function checkLayout(shape: MatmulShape): ProductLayout {
  const { m, n, k, transposeA = false, transposeB = false, batch } = shape
  checkInteger(m, "m", 0, LARGEST)
  checkInteger(n, "n", 0, LARGEST)
  checkInteger(k, "k", 0, LARGEST)
  checkBoolean(transposeA, "transposeA")
  checkBoolean(transposeB, "transposeB")
  const ldA = leading(shape.ldA, "ldA", transposeA ? m : k)
  const ldB = leading(shape.ldB, "ldB", transposeB ? k : n)
  const ldOut = leading(shape.ldOut, "ldOut", n)
  if (batch === undefined) {
    return { m, n, k, transposeA, transposeB, ldA, ldB, ldOut, count: 1, strideA: 0, strideB: 0, strideOut: 0 }
  }
  const spanned = m === 0 || n === 0 ? 0 : (m - 1) * ldOut + n
  const { count, strideA, strideB, strideOut } = checkBatch(batch, spanned)
  return { m, n, k, transposeA, transposeB, ldA, ldB, ldOut, count, strideA, strideB, strideOut }
}

/** No row is shorter than an element, also if the product is empty. */
function leading(given: number | undefined, what: string, row: number): number {
  if (given === undefined) return Math.max(1, row)
  checkInteger(given, what, Math.max(1, row), LARGEST)
  return given
}

/** A batch of one has no strides. */
function checkBatch(batch: MatmulBatch, spanned: number): MatmulBatch {
  checkOptions(batch, "batch", batchNames)
  const { count, strideA, strideB, strideOut } = batch
  checkInteger(count, "batch.count", 0, LARGEST)
  checkInteger(strideA, "batch.strideA", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(strideB, "batch.strideB", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(strideOut, "batch.strideOut", 0, Number.MAX_SAFE_INTEGER)
  if (count < 2) return { count, strideA: 0, strideB: 0, strideOut: 0 }
  if (strideOut >= spanned) return batch
  throw new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `\`batch.strideOut\` must be at least ${spanned}, the elements of a result, or results would overlap; got ${strideOut}`,
  )
}

/** Whether there are no results. */
export function isNothing({ m, n, count }: ProductLayout): boolean {
  return m === 0 || n === 0 || count === 0
}

/** The elements from the first that is used to the last, gaps included. */
export function spannedBy(layout: ProductLayout, what: "a" | "b" | "out"): number {
  const { m, n, k, count } = layout
  if (what === "out") return spanned(m, n, layout.ldOut, count, layout.strideOut)
  if (what === "a") {
    const { transposeA, ldA, strideA } = layout
    return transposeA ? spanned(k, m, ldA, count, strideA) : spanned(m, k, ldA, count, strideA)
  }
  const { transposeB, ldB, strideB } = layout
  return transposeB ? spanned(n, k, ldB, count, strideB) : spanned(k, n, ldB, count, strideB)
}

function spanned(rows: number, columns: number, leading: number, count: number, stride: number): number {
  return rows === 0 || columns === 0 ? 0 : (count - 1) * stride + (rows - 1) * leading + columns
}

/** The same in bytes. */
export function usedBytes(product: Product, what: "a" | "b" | "out"): number {
  const used = spannedBy(product.layout, what)
  const array = product[what]
  return used === 0 ? 0 : (used * array.byteLength) / array.length
}

/** How the matrices are stored, for messages. */
export function storedAs(layout: ProductLayout, what: "a" | "b" | "out"): string {
  const { m, n, k, count } = layout
  const [rows, columns, leading, stride] = {
    a: [...(layout.transposeA ? [k, m] : [m, k]), layout.ldA, layout.strideA],
    b: [...(layout.transposeB ? [n, k] : [k, n]), layout.ldB, layout.strideB],
    out: [m, n, layout.ldOut, layout.strideOut],
  }[what]
  const matrix = `${rows} × ${columns}${leading === columns ? "" : `, ${leading} elements from row to row`}`
  return count > 1 ? `${count} matrices of ${matrix} with stride ${stride}` : `a matrix of ${matrix}`
}
