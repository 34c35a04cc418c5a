/**
 * Conditionals in graphs. CUDA decides by a handle that a kernel must set; our kernel sets it from an int32 in memory. The
 * handle and the body belong to the captured graph, and must never be destroyed separately.
 */
import { LaunchShape } from "../../common/facts/launch-shape.js"
import type { ConditionalKind } from "../../driver/graphs.js"
import type { StreamHandle } from "../../driver/handles.js"
import { CMemory } from "../native/c-memory.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import { readNumber } from "../native/ffi.js"
import type { Kernels } from "../kernel/kernels.js"
import { ptxKernel } from "../kernel/own-kernel.js"
import type { Launcher } from "../kernel/launch.js"
import type { Need } from "../sharing/quiet.js"

const NODE_TYPE_CONDITIONAL = 13
const CONDITIONAL_TYPES = { if: 0, unless: 0, while: 1 } as const
const NODE_PARAMETERS_BYTES = 256

const NEED: Need = {
  what: "The kernel of runIf() and runWhile() cannot be loaded",
  advice: "Load it ahead: await device.prepare().",
}

/** Sets a conditional's handle to 1 if the number is zero (`zero` = 1) or not zero (`zero` = 0). CUDA links the function. */
const setCondition = ptxKernel(
  "auxstream_set_condition",
  [
    { dtype: "uint64", access: undefined },
    { dtype: "int32", access: "in" },
    { dtype: "int32", access: undefined },
  ],
  `.version 8.3
.target sm_50
.address_size 64
.extern .func cudaGraphSetConditional (.param .b64 handle, .param .b32 value);
.visible .entry auxstream_set_condition (.param .u64 handle, .param .u64 condition, .param .u32 zero)
{
  .reg .pred %isZero;
  .reg .b32 %number, %zero, %value;
  .reg .b64 %handle, %condition;
  ld.param.u64 %handle, [handle];
  ld.param.u64 %condition, [condition];
  ld.param.u32 %zero, [zero];
  cvta.to.global.u64 %condition, %condition;
  ld.global.u32 %number, [%condition];
  setp.eq.s32 %isZero, %number, 0;
  selp.u32 %value, 1, 0, %isZero;
  setp.eq.u32 %isZero, %value, %zero;
  selp.u32 %value, 1, 0, %isZero;
  {
    .param .b64 toHandle;
    .param .b32 toValue;
    st.param.b64 [toHandle], %handle;
    st.param.b32 [toValue], %value;
    call.uni cudaGraphSetConditional, (toHandle, toValue);
  }
  ret;
}
`,
)

/** A body that is being captured. */
interface Body {
  readonly kind: ConditionalKind
  /** CUDA's handle, which may use all 64 bits. */
  readonly handle: bigint
  readonly condition: number
  readonly graph: number
}

/** The conditionals of one device. */
export class Conditionals {
  readonly #context: CudaContext
  readonly #captures: Captures
  readonly #kernels: Kernels
  readonly #launcher: Launcher
  readonly #bodies = new Map<StreamHandle, Body>()
  /** The graphs with conditionals. */
  readonly #graphs = new Set<number>()
  readonly #out = new CMemory(16)

  constructor(context: CudaContext, captures: Captures, kernels: Kernels, launcher: Launcher) {
    this.#context = context
    this.#captures = captures
    this.#kernels = kernels
    this.#launcher = launcher
    if (context.isNew) this.#loadAhead()
  }

  /** Called while the device is idle. If it fails, the first conditional throws the reason. */
  #loadAhead(): void {
    try {
      void this.#context.conditionalCalls // Throws if the driver has none.
      this.#kernels.load(setCondition, NEED)
    } catch {
      // The first conditional throws it again.
    }
  }

  /** Whether the graph itself has conditionals. */
  areIn(graph: number): boolean {
    return this.#graphs.has(graph)
  }

  /** The graph is destroyed. */
  forget(graph: number): void {
    this.#graphs.delete(graph)
  }

  /** Loads the kernel without blocking the event loop. @throws AuxstreamError AUX_DEVICE_UNAVAILABLE, AUX_NOT_READY */
  async prepare(): Promise<void> {
    void this.#context.conditionalCalls // Throws if the driver has none.
    await this.#kernels.prepare(setCondition, NEED)
  }

  /** See `DriverGraphs.beginConditional`. */
  begin(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void {
    const { graph } = this.#captures.pointOf(stream)
    const handle = this.#createHandle(graph)
    this.#setHandle(kind, handle, condition, stream)
    this.#graphs.add(graph)
    const bodyGraph = this.#addNode(kind, handle, stream)
    this.#captures.beginInto(bodyGraph, body)
    this.#bodies.set(body, { kind, handle, condition, graph: bodyGraph })
  }

  #createHandle(graph: number): bigint {
    const { cuGraphConditionalHandleCreate } = this.#context.conditionalCalls
    const status = this.#context.room.for(() =>
      cuGraphConditionalHandleCreate(this.#out.address, graph, this.#context.handle, 0, 0),
    )
    this.#context.check(status, "cuGraphConditionalHandleCreate")
    return this.#out.bigint(0)
  }

  #setHandle(kind: ConditionalKind, handle: bigint, condition: number, stream: StreamHandle): void {
    const kernel = this.#kernels.get(this.#kernels.load(setCondition, NEED))
    const args = [handle, { address: condition, length: 1 }, kind === "unless" ? 1 : 0]
    this.#launcher.launch(stream, kernel, LaunchShape.of(), args, undefined)
  }

  /** @returns the graph of the conditional's body */
  #addNode(kind: ConditionalKind, handle: bigint, stream: StreamHandle): number {
    const { graph, dependencies, count } = this.#captures.pointOf(stream)
    const parameters = new CMemory(NODE_PARAMETERS_BYTES)
    parameters.setInt(0, NODE_TYPE_CONDITIONAL)
    parameters.setBigint(16, handle)
    parameters.setInt(24, CONDITIONAL_TYPES[kind])
    parameters.setInt(28, 1) // one body
    parameters.setNumber(40, this.#context.handle)
    const { cuGraphAddNode } = this.#context.conditionalCalls
    const status = this.#context.room.for(() =>
      cuGraphAddNode(this.#out.address, graph, dependencies, count, parameters.address),
    )
    this.#context.check(status, "cuGraphAddNode")
    this.#captures.continueAfter(this.#out.number(0), stream)
    return readNumber(parameters.number(32))
  }

  /** See `DriverGraphs.endConditional`. */
  end(stream: StreamHandle): void {
    const body = this.#forgetBody(stream)
    if (body === undefined) return
    try {
      if (body.kind === "while") this.#setHandle(body.kind, body.handle, body.condition, stream)
    } finally {
      this.#captures.end(stream)
    }
  }

  cancel(stream: StreamHandle): void {
    if (this.#forgetBody(stream) !== undefined) this.#captures.cancel(stream)
  }

  #forgetBody(stream: StreamHandle): Body | undefined {
    const body = this.#bodies.get(stream)
    if (body === undefined) return undefined
    this.#bodies.delete(stream)
    this.#graphs.delete(body.graph)
    return body
  }
}
