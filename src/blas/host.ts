/** Products on the host device: a WebAssembly kernel, compiled from `assembly/`. */
import type { ProductTypes } from "../common/dtype/product-types.js"
import type { KernelHandle, StreamHandle } from "../driver/handles.js"
import type { KernelArgument } from "../driver/kernels.js"
import type { MatrixProduct } from "../driver/products.js"
import type { Device } from "../runtime/device/device.js"
import { defineKernel } from "../runtime/kernel/define-kernel.js"
import type { Kernel } from "../runtime/kernel/kernel.js"
import { shapeOf } from "../runtime/kernel/launch-shape.js"
import type { Parameter } from "../runtime/kernel/parameter-types.js"
import { SCRATCH_BYTES } from "./blocks.js"
import { fastest } from "./kernels.generated.js"
import type { Product, Target } from "./product.js"
import { type Multiplier, queueProduct, queueProducts } from "./queue.js"

/** What a kernel depends on: which parameters are arrays, and of which dtype. */
interface KernelKind extends Pick<MatrixProduct, "types" | "beta"> {
  readonly bias: unknown
  readonly scaleA: unknown
  readonly scaleB: unknown
}

/** The kernels of one build. Each kind is defined at its first use. */
export class HostKernels {
  readonly #wasm: Uint8Array
  readonly #kernels: (Kernel | undefined)[] = []

  constructor(wasm: Uint8Array) {
    this.#wasm = wasm
  }

  kernelFor({ types, beta, bias, scaleA, scaleB }: KernelKind): Kernel {
    let kind = types.code
    for (const isPresent of [beta !== 0, bias !== undefined, scaleA !== undefined, scaleB !== undefined]) {
      kind = kind * 2 + Number(isPresent)
    }
    return (this.#kernels[kind] ??= this.#define({ types, beta, bias, scaleA, scaleB }))
  }

  #define({ types, beta, bias, scaleA, scaleB }: KernelKind): Kernel {
    return defineKernel<Parameter[]>({
      name: `matmul_${types.inputs}_${types.output}`,
      signature: [
        `in ${types.inputs}*`,
        `in ${types.inputs}*`,
        `${beta === 0 ? "out" : "inout"} ${types.output}*`,
        "out uint8*",
        ...optional(bias, types.bias),
        ...optional(scaleA, "float32"),
        ...optional(scaleB, "float32"),
        ...(["int32", "int32", "int32", "int32", "int32"] as const), // types, epilogue, sizes
        ...(["int32", "int32", "int32", "int32", "int32"] as const), // transposes, row lengths
        ...(["float32", "float32"] as const),
        ...(["int32", "uint32", "uint32", "uint32"] as const),
      ],
      host: { wasm: this.#wasm, export: "matmul" },
      // Rows and matrices may have gaps.
      partialOutputs: true,
    })
  }
}

/** An array, or a number in its place. */
function optional(value: unknown, dtype: ProductTypes["bias"]): Parameter[] {
  return [value === undefined ? "int32" : `in ${dtype}*`]
}

let fastestKernels: HostKernels | undefined

function kernels(): HostKernels {
  return (fastestKernels ??= new HostKernels(fastest()))
}

/** Queues a product on the host device: one launch, which runs on one worker thread. */
export function multiplyOnHost(product: Product, target: Target, build = kernels()): void {
  queueProduct(product, target, new HostMultiplier(target.stream.device, build))
}

/** Queues several products as one operation: a launch each, one after another. */
export function multiplyGroupOnHost(products: readonly Product[], target: Target): void {
  const multiplier = new HostMultiplier(target.stream.device, kernels())
  for (const product of products) multiplier.load(product)
  queueProducts(products, target, {
    workspaceBytes: multiplier.workspaceBytes,
    scratch: () => undefined,
    multiply(workspace, { handle }) {
      for (const product of products) multiplier.multiply(product, workspace, handle)
    },
  })
}

/** Multiplies with one build of the kernels. */
class HostMultiplier implements Multiplier {
  readonly workspaceBytes = SCRATCH_BYTES
  readonly #device: Device
  readonly #build: HostKernels

  constructor(device: Device, build: HostKernels) {
    this.#device = device
    this.#build = build
  }

  /** The kernel's handle. Loads the kernel if necessary. */
  load(product: MatrixProduct): KernelHandle {
    return this.#build.kernelFor(product).load(this.#device)
  }

  multiply(product: MatrixProduct, workspace: number, stream: StreamHandle): void {
    const { kernels, limits } = this.#device.driver
    const kernel = this.load(product)
    const args = argumentsOf(isColumn(product) ? transposed(product) : product, workspace)
    kernels.launch(stream, kernel, shapeOf(1, 1, 0, limits), args, undefined)
  }
}

/** Compiles the kernel for products of a kind. */
export function prepareOnHost(device: Device, kind: Omit<KernelKind, "bias"> & { bias: boolean }): Promise<void> {
  return kernels()
    .kernelFor({ ...kind, bias: kind.bias ? kind : undefined })
    .prepare(device)
}

/** Whether the result is one column, without gaps and without a bias, which is added to rows. */
function isColumn({ layout: { m, n, ldOut }, bias }: MatrixProduct): boolean {
  return n === 1 && m > 1 && ldOut === 1 && bias === undefined
}

/** A result of one column is the one row of the transposed product, which reads `a` once, from beginning to end. */
function transposed(product: MatrixProduct): MatrixProduct {
  const { layout } = product
  return {
    ...product,
    a: product.b,
    b: product.a,
    scaleA: product.scaleB,
    scaleB: product.scaleA,
    layout: {
      ...layout,
      m: 1,
      n: layout.m,
      transposeA: !layout.transposeB,
      transposeB: !layout.transposeA,
      ldA: layout.ldB,
      ldB: layout.ldA,
      ldOut: layout.m,
      strideA: layout.strideB,
      strideB: layout.strideA,
    },
  }
}

// What assembly/epilogue.ts calls them.
const HAS_BIAS = 1
const HAS_SCALE_A = 2
const HAS_SCALE_B = 4
const ACTIVATIONS = { relu: 8, gelu: 16 } as const

function epilogueOf({ bias, scaleA, scaleB, activation }: MatrixProduct): number {
  return (
    (bias === undefined ? 0 : HAS_BIAS) +
    (scaleA === undefined ? 0 : HAS_SCALE_A) +
    (scaleB === undefined ? 0 : HAS_SCALE_B) +
    (activation === undefined ? 0 : ACTIVATIONS[activation])
  )
}

function argumentsOf(product: MatrixProduct, workspace: number): KernelArgument[] {
  const { a, b, out, bias = 0, scaleA = 0, scaleB = 0, types, layout, alpha, beta } = product
  return [
    a,
    b,
    out,
    { address: workspace, length: SCRATCH_BYTES },
    bias,
    scaleA,
    scaleB,
    types.code,
    epilogueOf(product),
    layout.m,
    layout.n,
    alpha === 0 ? 0 : layout.k,
    Number(layout.transposeA),
    Number(layout.transposeB),
    layout.ldA,
    layout.ldB,
    layout.ldOut,
    alpha,
    beta,
    layout.count,
    layout.strideA,
    layout.strideB,
    layout.strideOut,
  ]
}
