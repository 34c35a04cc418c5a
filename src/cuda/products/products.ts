/**
 * The matrix products of one device.
 *
 * cuBLASLt loads code when it is opened, when it chooses an algorithm, and when it first uses a kernel, and CUDA loads code
 * only while the device is idle (measured on an H200, cuBLAS 13.1). So plans must only be made, and used first, then.
 */
import { AuxstreamError } from "../../common/errors.js"
import type { StreamHandle } from "../../driver/handles.js"
import type { MatrixProduct, ProductGroup, ProductLibrary } from "../../driver/products.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { SUCCESS } from "../api/status.js"
import type { Need, Quiet } from "../sharing/quiet.js"
import type { Captures } from "../stream/captures.js"
import type { Streams } from "../stream/streams.js"
import { ALLOC_FAILED, cublasLtFor, failure, type LtCalls, NOT_INITIALIZED } from "./cublas-lt.js"
import { destroyGroupHandle, Groups } from "./groups.js"
import { Plan, type PlanMaker } from "./plan.js"
import { PlanCache } from "./plan-cache.js"

/**
 * The size that NVIDIA recommends for recent devices. It is the same on every stream, so that results are the same, too.
 */
const WORKSPACE_BYTES = 32 * 1024 * 1024

/** The first compute capability with 8-bit floating point products: Ada. */
const FIRST_WITH_FLOAT8 = 89

/** Destroys a handle of cuBLASLt that no stream uses. Never throws. */
export function destroyProducts(context: CudaContext, handle: number): void {
  const status = context.within(() => cublasLtFor(context).cublasLtDestroy(handle))
  if (status !== SUCCESS) context.warnOfLeakBy(failure(status, "cublasLtDestroy"))
}

/** Destroys a handle of cuBLAS that no stream uses. Never throws. */
export function destroyGroups(context: CudaContext, handle: number): void {
  const status = destroyGroupHandle(context, handle)
  if (status !== SUCCESS) context.warnOfLeakBy(failure(status, "cublasDestroy"))
}

/** What a device's products need of it. */
export interface ProductParts {
  readonly context: CudaContext
  readonly quiet: Quiet
  readonly streams: Streams
  readonly captures: Captures
  /** The compute capability: 90 is 9.0. */
  readonly architecture: number
}

/** See the head of this file. */
export class CublasLt implements ProductLibrary {
  readonly workspaceBytes = WORKSPACE_BYTES
  loads = 0
  readonly lacksFloat8: string | undefined
  readonly #context: CudaContext
  readonly #parts: ProductParts
  readonly #plans = new PlanCache()
  readonly #groups: Groups
  #maker: PlanMaker | undefined
  /** alpha, and beta 8 bytes after it. cuBLASLt reads both during the call. */
  readonly #scalars = new CMemory(16)
  readonly #scalarValues: Float32Array<ArrayBuffer>
  #isClosed = false

  constructor(parts: ProductParts) {
    const { context, architecture } = parts
    this.#context = context
    this.#parts = parts
    const check = (status: number, call: string): void => this.#check(status, call)
    this.#groups = new Groups({ context, workspaceBytes: WORKSPACE_BYTES, check })
    this.#scalarValues = new Float32Array(this.#scalars.bytes.buffer)
    const capability = `${Math.floor(architecture / 10)}.${architecture % 10}`
    this.lacksFloat8 =
      architecture >= FIRST_WITH_FLOAT8
        ? undefined
        : `${context.label} has compute capability ${capability}, and 8-bit floating point products need 8.9`
  }

  /**
   * Queues products on a stream. The first product by a plan may load a kernel.
   *
   * @throws AuxstreamError AUX_NOT_READY when it finds the device busy for too long
   */
  multiply(product: MatrixProduct, workspace: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    const plan = this.#plans.find(product)
    if (plan?.isLoaded === true) this.#queue(plan, product, workspace, stream)
    else this.#loadFor(product, () => this.#queueFirst(product, workspace, stream))
  }

  #loadFor(product: MatrixProduct, queue: () => void): void {
    this.loads += 1
    this.#parts.quiet.block(needOf(product), queue)
  }

  /** The device is idle, so that loading code does not wait. */
  #queueFirst(product: MatrixProduct, workspace: number, stream: StreamHandle): void {
    const plan = this.#plans.find(product) ?? this.#plan(product)
    this.#queue(plan, product, workspace, stream)
    plan.isLoaded = true
  }

  groupOf(products: readonly MatrixProduct[]): ProductGroup | undefined {
    return this.#groups.groupOf(products)
  }

  /** Those that are not in the group are queued one after another. If any code may be missing, all wait for an idle device. */
  multiplyGroup(
    products: readonly MatrixProduct[],
    group: ProductGroup | undefined,
    pointers: number,
    workspace: number,
    stream: StreamHandle,
  ): void {
    this.#context.lastEvent = undefined
    const others = group === undefined ? products : products.filter((product) => !group.products.includes(product))
    const unloaded =
      others.find((product) => this.#plans.find(product)?.isLoaded !== true) ??
      (group === undefined || this.#groups.isLoaded(group) ? undefined : group.products[0])
    const queue = () => {
      if (group !== undefined) this.#groups.multiply(group, pointers, workspace, stream)
      for (const product of others) this.#queueFirst(product, workspace, stream)
    }
    if (unloaded === undefined) queue()
    else this.#loadFor(unloaded, queue)
  }

  /** The stream is being destroyed. */
  forgetStream(stream: StreamHandle): void {
    this.#groups.forgetStream(stream)
  }

  /** Makes the plan, and loads its kernel while the device is idle, without blocking the event loop. */
  async prepare(product: MatrixProduct, workspace: number): Promise<void> {
    if (this.#plans.find(product)?.isLoaded === true) return
    await this.#parts.quiet.wait(needOf(product), () => this.#load(product, workspace))
  }

  /** Captures the product and drops the graph: that loads the kernel, and nothing runs. */
  #load(product: MatrixProduct, workspace: number): void {
    const { context, captures, streams } = this.#parts
    if (this.#isClosed) throw new AuxstreamError("AUX_DISPOSED", `${context.label} has been disposed of.`)
    const stream = streams.create(0)
    try {
      captures.begin(stream)
      try {
        this.#queueFirst(product, workspace, stream)
      } finally {
        const graph = captures.cancel(stream)
        if (graph !== undefined) context.graphCalls.cuGraphDestroy(graph)
      }
    } finally {
      streams.destroy(stream)
    }
  }

  /** The fast path: no closure, and as few calls as there can be. */
  #queue(plan: Plan, product: MatrixProduct, workspace: number, stream: StreamHandle): void {
    const context = this.#context
    if (plan.hasPointers) plan.setPointers(product)
    this.#scalarValues[0] = product.alpha
    this.#scalarValues[2] = product.beta
    context.check(context.calls.cuCtxPushCurrent(context.handle), "cuCtxPushCurrent")
    const status = this.#submit(plan, product, workspace, stream)
    // Not through `context.calls`: the context must be popped even if the device was lost meanwhile.
    context.library.calls.cuCtxPopCurrent(context.out.address + 56)
    if (status !== SUCCESS) this.#retry(status, plan, product, workspace, stream)
  }

  #submit(plan: Plan, product: MatrixProduct, workspace: number, stream: StreamHandle): number {
    const { calls, handle } = plan.maker
    const scalars = this.#scalars.address
    const out = product.out.address
    return calls.cublasLtMatmul(
      handle,
      plan.description,
      scalars,
      product.b.address,
      plan.layoutB,
      product.a.address,
      plan.layoutA,
      scalars + 8,
      out,
      plan.layoutOut,
      out,
      plan.layoutOut,
      plan.algorithm,
      workspace,
      WORKSPACE_BYTES,
      stream,
    )
  }

  #retry(status: number, plan: Plan, product: MatrixProduct, workspace: number, stream: StreamHandle): void {
    const again = () => this.#context.within(() => this.#submit(plan, product, workspace, stream))
    this.#check(this.#context.room.for(again, status, isShortOfMemory), "cublasLtMatmul")
  }

  #plan(product: MatrixProduct): Plan {
    const maker = this.#maker ?? this.#begin()
    const plan = this.#context.within(() => new Plan(maker, product))
    this.#plans.add(plan, product)
    return plan
  }

  /** Loads the library and creates its handle. Handles of cuBLASLt have no stream, so one serves all streams. */
  #begin(): PlanMaker {
    const calls = cublasLtFor(this.#context)
    const handle = this.#create(calls)
    const check = (status: number, call: string): void => this.#check(status, call)
    return (this.#maker = { calls, handle, workspaceBytes: WORKSPACE_BYTES, check })
  }

  #create(calls: LtCalls): number {
    const { context } = this.#parts
    const out = new CMemory(8)
    const create = () => context.within(() => calls.cublasLtCreate(out.address))
    this.#check(context.room.for(create, create(), isShortOfMemory), "cublasLtCreate")
    const handle = out.number(0)
    context.holding.add("products", handle)
    return handle
  }

  /** The device is being disposed of: pending preparations are refused. */
  refuseMore(): void {
    this.#isClosed = true
  }

  /** Does not destroy the handle: `leftovers.ts` does, with everything else that the device leaves behind. */
  close(): void {
    this.#plans.clear()
  }

  #check(status: number, call: string): void {
    if (status === SUCCESS) return
    this.#context.checkFaults()
    throw failure(status, call)
  }
}

function needOf({ types, layout: { m, n, k } }: MatrixProduct): Need {
  return {
    what: `The first product of ${m} x ${k} by ${k} x ${n} in ${types.inputs} cannot be queued`,
    advice: "Prepare it ahead, while the device is idle: await prepareMatmul(device, shape).",
  }
}

/** cuBLASLt allocates memory when it creates a handle and when it loads a kernel. These statuses mean that it got none. */
function isShortOfMemory(status: number): boolean {
  return status === NOT_INITIALIZED || status === ALLOC_FAILED
}
