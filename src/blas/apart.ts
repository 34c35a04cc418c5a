/** Checks that the products of a group are independent: none may read or write what another one writes. */
import { AuxstreamError } from "../common/errors.js"
import type { DeviceArray } from "../runtime/device/array/device-array.js"
import { isNothing, usedBytes } from "./layout.js"
import type { Product } from "./product.js"

interface Range {
  readonly begin: number
  readonly end: number
  readonly product: number
  readonly what: string
}

/** Sorts all ranges by their begins, so that each is compared with the one before that reaches farthest. */
export function checkApartFromEachOther(products: readonly Product[]): void {
  const written: Range[] = []
  const all: Range[] = []
  products.forEach((product, index) => {
    if (isNothing(product.layout)) return
    const out = rangeOf(product.out, usedBytes(product, "out"), index, "out")
    written.push(out)
    all.push(out, ...readRanges(product, index))
  })
  written.sort((one, other) => one.begin - other.begin)
  for (const [index, range] of written.entries()) {
    const next = written[index + 1]
    if (next !== undefined && next.begin < range.end) throw shared(range, next)
  }
  for (const range of all) {
    const writer = lastBegunBefore(written, range.end)
    if (writer !== undefined && writer.end > range.begin && writer.product !== range.product)
      throw shared(writer, range)
  }
}

function readRanges(product: Product, index: number): Range[] {
  const { a, b, bias, scaleA, scaleB, layout } = product
  return [
    rangeOf(a, usedBytes(product, "a"), index, "a"),
    rangeOf(b, usedBytes(product, "b"), index, "b"),
    ...(bias === undefined ? [] : [rangeOf(bias, (layout.n * bias.byteLength) / bias.length, index, "bias")]),
    ...(scaleA === undefined ? [] : [rangeOf(scaleA, 4, index, "scaleA")]),
    ...(scaleB === undefined ? [] : [rangeOf(scaleB, 4, index, "scaleB")]),
  ].filter(({ begin, end }) => begin < end)
}

function rangeOf({ address }: DeviceArray, byteLength: number, product: number, what: string): Range {
  return { begin: address, end: address + byteLength, product, what }
}

/** Of sorted ranges that do not overlap, the last one that begins before an address. */
function lastBegunBefore(ranges: readonly Range[], address: number): Range | undefined {
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ranges[middle]?.begin ?? 0) < address) low = middle + 1
    else high = middle
  }
  return ranges[low - 1]
}

function shared(writer: Range, other: Range): AuxstreamError {
  return new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `\`out\` of products[${writer.product}] must not share memory with \`${other.what}\` of products[${other.product}], ` +
      "because the products of a group may run at the same time. Use other arrays, or two calls.",
  )
}
