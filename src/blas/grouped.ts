import { checkOptions, mustBe } from "../common/check.js"
import { AuxstreamError } from "../common/errors.js"
import type { DeviceArray } from "../runtime/device/array/device-array.js"
import { checkProduct, checkTarget } from "./check.js"
import { multiplyGroupByLibrary } from "./cuda.js"
import { multiplyGroupOnHost } from "./host.js"
import { isNothing } from "./layout.js"
import type { GroupedOptions, GroupedProduct, MatmulDType } from "./options.js"
import type { Product, Target } from "./product.js"
import { checkApartFromEachOther } from "./apart.js"

const names: ReadonlySet<string> = new Set(["stream"] satisfies (keyof GroupedOptions)[])

/**
 * Queues products of any sizes as one operation: the experts of a mixture-of-experts layer, for example.
 *
 * The products are independent of each other: none may read or write what another one writes. They may be of different
 * dtypes. An empty list queues nothing.
 *
 * @param products one entry for each product, with the options of {@link matmul}
 * @param options the stream
 * @throws AuxstreamError before anything is queued, as {@link matmul} does; the message names the product by its index
 * @example
 * // The experts of a mixture-of-experts layer, each with its own number of tokens.
 * matmulGrouped(
 *   groups.map(({ x, weights, y, count }) => ({ a: x, b: weights, out: y, m: count, n, k, transposeB: true })),
 * )
 */
export function matmulGrouped<D extends MatmulDType>(
  products: readonly GroupedProduct<D>[],
  options?: GroupedOptions,
): void {
  if (!Array.isArray(products)) throw mustBe("products", "an array of products", products)
  checkOptions(options, "options", names)
  const checked = Array.from(products, checkOne)
  const [first] = checked
  if (first === undefined) return
  const target = checkTarget(options?.stream, first.a)
  checkOneDevice(checked, first.a)
  checkApartFromEachOther(checked)
  multiplyAll(
    checked.filter((product) => !isNothing(product.layout)),
    target,
  )
}

function checkOne(options: GroupedProduct, index: number): Product {
  try {
    if (typeof options === "object" && options !== null && "stream" in options) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        "A product of a group must not have a `stream`. Give it to matmulGrouped().",
      )
    }
    return checkProduct(options)
  } catch (error) {
    if (error instanceof AuxstreamError) error.message = `products[${index}]: ${error.message}`
    throw error
  }
}

function checkOneDevice(products: readonly Product[], { device }: DeviceArray): void {
  const other = products.find(({ a }) => a.device !== device)
  if (other === undefined) return
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `All products must be on one device; got ${device.id} and ${other.a.device.id}`,
  )
}

function multiplyAll(products: readonly Product[], target: Target): void {
  const [first] = products
  if (first === undefined) return
  const library = first.a.device.driver.products
  if (library === undefined) multiplyGroupOnHost(products, target)
  else multiplyGroupByLibrary(products, target, library)
}
