import { checkBoolean, checkNames, mustBe } from "../common/check.js"
import { isMultiplied, productTypesOf, type ProductTypes } from "../common/dtype/product-types.js"
import { AuxstreamError } from "../common/errors.js"
import type { MatrixProduct, ProductLibrary } from "../driver/products.js"
import { workspaceOf } from "../runtime/capture/workspace.js"
import { Device } from "../runtime/device/device.js"
import { checkActivation, checkAlignment, checkFloat8Layout, checkNumber } from "./check.js"
import { prepareOnHost } from "./host.js"
import { checkLayout, isNothing } from "./layout.js"
import { preparedNames } from "./names.js"
import type { MatmulDType, PreparedMatmul } from "./options.js"

/** The default alignment in bytes. New arrays always have it; views and wrapped memory may not. */
const ALIGNMENT = 16

/**
 * Plans a product and loads its kernel in advance, without blocking the event loop. Then the first such `matmul` does
 * not wait.
 *
 * On CUDA this makes the plan and loads the kernel, for which the device must become idle. A plan depends on the shape, the
 * dtypes, the epilogue, whether `beta` is 0, and the alignment of each array, up to 16 bytes. On host it compiles the
 * kernel.
 *
 * @param device the device on which it will run
 * @param shape the sizes, dtypes and options of the products
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DTYPE_MISMATCH; AUX_DEVICE_UNAVAILABLE if the device
 * has no such product; AUX_NOT_READY if the device does not become idle
 * @example
 * await prepareMatmul(device, { dtype: "bfloat16", m: 1, n: 5632, k: 2048, transposeB: true })
 */
export async function prepareMatmul<D extends MatmulDType>(device: Device, shape: PreparedMatmul<D>): Promise<void> {
  if (!(device instanceof Device)) throw mustBe("device", "a Device", device)
  device.checkUsable()
  if (typeof shape !== "object" || shape === null) throw mustBe("shape", "an object such as { dtype, m, n, k }", shape)
  checkNames(shape, "shape", preparedNames)
  const { beta = 0, bias = false, activation, alignment = ALIGNMENT } = shape
  const types = checkTypes(shape)
  const layout = checkLayout(shape)
  checkNumber(beta, "beta")
  checkBoolean(bias, "bias")
  checkActivation(activation)
  checkAlignment(alignment, types)
  const library = device.driver.products
  if (types.inputs === "float8_e4m3fn") checkFloat8(types, layout, library)
  if (isNothing(layout) || layout.k === 0) return
  const kind = { types, layout, activation, beta, alpha: 1, scaleA: undefined, scaleB: undefined }
  if (library === undefined) return prepareOnHost(device, { ...kind, bias })
  const stream = device.defaultStream.state
  stream.enter()
  const { address } = workspaceOf(stream, library.workspaceBytes)
  const array = { address: address + (alignment % ALIGNMENT), length: 0 }
  const product: MatrixProduct = { ...kind, a: array, b: array, out: array, bias: bias ? array : undefined }
  return library.prepare(product, address)
}

function checkTypes({ dtype, outDtype }: PreparedMatmul): ProductTypes {
  if (!isMultiplied(dtype)) throw mustBe("dtype", '"float32", "float16", "bfloat16" or "float8_e4m3fn"', dtype)
  const types = productTypesOf(dtype, outDtype ?? (dtype === "float8_e4m3fn" ? "float32" : dtype))
  if (types !== undefined) return types
  throw new AuxstreamError(
    "AUX_DTYPE_MISMATCH",
    `\`outDtype\` must be a dtype that ${dtype} is multiplied to: ${dtype === "float8_e4m3fn" ? "float32, float16 or bfloat16" : `${dtype} or float32`}; got ${String(outDtype)}`,
  )
}

function checkFloat8(types: ProductTypes, layout: MatrixProduct["layout"], library: ProductLibrary | undefined): void {
  checkFloat8Layout(layout, types)
  const lacks = library?.lacksFloat8
  if (lacks !== undefined) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `${lacks}. Use float16 or bfloat16.`)
}
