import { defineKernel, type Kernel } from "../runtime/kernel/kernel.js"
import { SCRATCH_BYTES } from "./blocks.js"
import { fastest } from "./kernels.generated.js"
import type { Product, ProductTypes } from "./product.js"

/** What the kernel calls the types; see assembly/index.ts. */
const typeCodes: Readonly<Record<ProductTypes, number>> = {
  float32_float32: 0,
  float16_float16: 1,
  float16_float32: 2,
  bfloat16_bfloat16: 3,
  bfloat16_float32: 4,
}

/** The kernels of one build, defined as they are needed: one for each combination of types, and for beta 0 or not. */
export class HostKernels {
  readonly #wasm: Uint8Array
  readonly #kernels = new Map<string, Kernel>()

  constructor(wasm: Uint8Array) {
    this.#wasm = wasm
  }

  kernelFor(types: ProductTypes, access: "out" | "inout"): Kernel {
    const key = `${types} ${access}`
    const kernel = this.#kernels.get(key) ?? this.#define(types, access)
    this.#kernels.set(key, kernel)
    return kernel
  }

  #define(types: ProductTypes, access: "out" | "inout"): Kernel {
    const [input, output] = types.split("_") as [Input, Output]
    return defineKernel({
      name: `matmul_${types}`,
      signature: [
        `in ${input}*`,
        `in ${input}*`,
        `${access} ${output}*`,
        "out uint8*",
        ...(["int32", "int32", "int32", "int32", "int32", "int32"] as const),
        ...(["float32", "float32"] as const),
        ...(["int32", "uint32", "uint32", "uint32"] as const),
      ],
      host: { wasm: this.#wasm, export: "matmul" },
    })
  }
}

type Input = "float32" | "float16" | "bfloat16"
type Output = Input

let fastestKernels: HostKernels | undefined

/**
 * Queues a product on the host device: one launch, and so one worker thread. Its scratch memory is allocated and freed
 * in the stream's order.
 */
export function multiplyOnHost(product: Product, kernels?: HostKernels): void {
  fastestKernels ??= new HostKernels(fastest())
  const { launchable, kernel } = prepare(product, kernels ?? fastestKernels)
  product.stream.run(() => launch(launchable, kernel))
}

function prepare(product: Product, kernels: HostKernels): { launchable: Product; kernel: Kernel } {
  const launchable = product.n === 1 && product.m > 1 ? transposed(product) : product
  const kernel = kernels.kernelFor(product.types, product.beta === 0 ? "out" : "inout")
  return { launchable, kernel }
}

/** A single column as a result is a single row of the transposed product, which is read once from end to end. */
function transposed(product: Product): Product {
  return {
    ...product,
    a: product.b,
    b: product.a,
    m: 1,
    n: product.m,
    transposeA: false,
    transposeB: !product.transposeA,
    strideA: product.strideB,
    strideB: product.strideA,
  }
}

function launch(product: Product, kernel: Kernel): void {
  const { a, b, out, m, n, k, alpha, beta } = product
  const scratch = a.device.empty("uint8", SCRATCH_BYTES)
  try {
    kernel.launch(
      { grid: 1, block: 1 },
      a,
      b,
      out,
      scratch,
      typeCodes[product.types],
      m,
      n,
      alpha === 0 ? 0 : k,
      Number(product.transposeA),
      Number(product.transposeB),
      alpha,
      beta,
      product.count,
      product.strideA,
      product.strideB,
      product.strideOut,
    )
  } finally {
    scratch.dispose()
  }
}
