import type { DeviceProperties } from "../common/facts/device-properties.js"
import type { Driver, PreparedNeeds } from "../driver/driver.js"
import type { StreamHandle } from "../driver/handles.js"
import type { LaunchLimits } from "../driver/kernels.js"
import type { TimeSource, Timeline, TimelineSink } from "../driver/timeline.js"
import { Captures } from "./stream/captures.js"
import { Closing, drainClosing } from "./closing.js"
import { Completions } from "./stream/completion.js"
import { Conditionals } from "./graph/conditionals.js"
import { CudaContext } from "./api/context.js"
import { CublasLt } from "./products/products.js"
import type { DeviceFacts } from "./api/device-facts.js"
import { readProperties } from "./api/device-properties.js"
import { DISABLE_TIMING, EventPool } from "./stream/event-pool.js"
import { CudaEvents } from "./stream/events.js"
import { Graphs } from "./graph/graphs.js"
import { GraphNodes } from "./graph/nodes.js"
import { KernelFacts } from "./kernel/kernel-facts.js"
import { Kernels } from "./kernel/kernels.js"
import { Launcher } from "./kernel/launch.js"
import { enter, releaseLeftovers, leave } from "./leftovers.js"
import type { CudaLibrary } from "./api/library.js"
import { reserveLocalMemory, roomForLocalMemory } from "./kernel/local-memory.js"
import { CudaMemory } from "./memory/cuda-memory.js"
import { createDeviceMemory } from "./memory/memory.js"
import type { DeviceMemory } from "./memory/device-memory.js"
import { Neighbours } from "./sharing/neighbours.js"
import { type Need, Quiet } from "./sharing/quiet.js"
import { AuxstreamError } from "../common/errors.js"
import { warn } from "../common/warn.js"
import { CudaStreams } from "./streams.js"
import { Streams } from "./stream/streams.js"
import { firstLine } from "./native/ffi.js"
import { findNap } from "./native/nap.js"
import { type CuptiDevice, CuptiTimeline } from "./cupti/cupti-timeline.js"
import { Ranges } from "./toolkit/nvtx.js"
import { EventTimeline, type TimelineParts } from "./timeline/event-timeline.js"

const LOCAL_MEMORY: Need = {
  what: "Local memory cannot be reserved",
  advice: "Prepare the device ahead: await device.prepare({ localMemory }).",
}

const STREAMS: Need = {
  what: "Streams cannot be prepared",
  advice: "Prepare the device ahead: await device.prepare({ streams }).",
}

/** See `Driver`. Streams, events and addresses are CUDA's handles, as numbers. */
export class CudaDriver implements Driver {
  readonly kind = "cuda"
  readonly name: string
  readonly limits: LaunchLimits
  readonly priorities: { readonly least: number; readonly greatest: number }

  readonly streams: CudaStreams
  readonly events: CudaEvents
  readonly memory: CudaMemory
  readonly kernels: Kernels
  readonly graphs: Graphs
  readonly products: CublasLt

  readonly #context: CudaContext
  /** Events that this driver records for its own use. */
  readonly #markers: EventPool
  readonly #streams: Streams
  readonly #arrays: DeviceMemory
  readonly #completions: Completions
  readonly #neighbours: Neighbours
  readonly #quiet: Quiet
  readonly #conditionals: Conditionals
  readonly #timelineParts: TimelineParts
  readonly #ranges: Ranges
  readonly #ordinal: number
  #timeline: EventTimeline | CuptiTimeline | undefined
  #properties: DeviceProperties | undefined
  #closed = false

  /** @throws CudaError, having created nothing */
  constructor(library: CudaLibrary, facts: DeviceFacts, ordinal: number) {
    this.name = facts.name
    this.limits = facts.limits
    const context = new CudaContext(library, facts.device, `cuda:${ordinal} (${facts.name})`)
    this.#context = context
    const captures = new Captures(context)
    const markers = new EventPool(context, DISABLE_TIMING)
    this.#markers = markers
    const { priorities, streams, arrays } = firstParts(context, captures, markers)
    this.priorities = priorities
    this.#streams = streams
    this.#arrays = arrays
    findNap()
    this.#completions = new Completions(context)
    this.#ordinal = ordinal
    this.#ranges = new Ranges(context)
    this.#timelineParts = { context, captures, streams: this.#streams }
    enter(context)
    this.#neighbours = new Neighbours(context, markers)
    this.#quiet = new Quiet(context, this.#streams, this.#neighbours)
    this.products = new CublasLt({
      ...{ context, quiet: this.#quiet, streams: this.#streams, captures },
      architecture: facts.architecture,
    })
    this.streams = new CudaStreams(context, this.#streams, captures, this.#arrays, this.products)
    this.events = new CudaEvents(context, this.#streams, captures, this.#completions)
    const launcher = new Launcher(context, facts.limits.sharedMemory)
    const kernelFacts = new KernelFacts(context, launcher, facts.limits.sharedMemory)
    this.kernels = new Kernels(context, this.#quiet, launcher, kernelFacts, facts.architecture)
    this.memory = new CudaMemory({
      ...{ context, arrays: this.#arrays, streams: this.streams, captures, markers, kernels: this.kernels, launcher },
      drainOthers: () => this.#drainOthers(),
    })
    this.#conditionals = new Conditionals(context, captures, this.kernels, launcher)
    this.graphs = new Graphs({
      ...{ context, captures, conditionals: this.#conditionals, kernels: this.kernels, quiet: this.#quiet },
      nodes: new GraphNodes(context, launcher),
    })
  }

  get properties(): DeviceProperties {
    this.#properties ??= readProperties(this.#context, this.limits)
    return this.#properties
  }

  #drainOthers(): void {
    this.graphs.sweep()
    this.kernels.sweep()
    drainClosing()
    releaseLeftovers(this.#context)
  }

  async prepare({ conditionals, localMemory, streams }: PreparedNeeds): Promise<void> {
    if (conditionals) await this.#conditionals.prepare()
    if (streams > this.#streams.ready) await this.#whenQuiet(STREAMS, () => this.#streams.reserve(streams))
    if (localMemory === 0) return
    if (localMemory <= roomForLocalMemory(this.#context)) return
    await this.#whenQuiet(LOCAL_MEMORY, () => reserveLocalMemory(this.#context, localMemory, "prepare()"))
  }

  #whenQuiet(need: Need, act: () => void): Promise<void> {
    return this.#quiet.wait(need, () => {
      if (this.#closed) throw new AuxstreamError("AUX_DISPOSED", `${this.#context.label} has been disposed of.`)
      act()
    })
  }

  startTimeline(sink: TimelineSink, source: TimeSource | undefined, capacity: number): Timeline {
    const events = (to: TimelineSink) => new EventTimeline(this.#timelineParts, to, capacity)
    this.#timeline = (source === "cupti" ? this.#startCupti(sink, events) : undefined) ?? events(sink)
    return this.#timeline
  }

  #startCupti(sink: TimelineSink, events: CuptiDevice["events"]): CuptiTimeline | undefined {
    const { handle, out, library } = this.#context
    const enclose = (stream: StreamHandle) => void this.#context.calls.cuStreamIsCapturing(stream, out.address)
    const driverMajor = Math.floor(library.version / 1000)
    try {
      return new CuptiTimeline({ ordinal: this.#ordinal, driverMajor, context: handle, enclose, events }, sink)
    } catch (error) {
      const instead = `A trace takes the times of ${this.#context.label} from events instead of CUPTI`
      warn("AUX_TRACE", `${instead}: ${firstLine(error)}`)
      return undefined
    }
  }

  startRange(name: string): (() => void) | undefined {
    return this.#ranges.start(name)
  }

  close(unseen?: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#timeline?.stop()
    this.kernels.refuseMore()
    this.products.refuseMore()
    new Closing({
      context: this.#context,
      streams: this.#streams,
      completions: this.#completions,
      kernels: this.kernels,
      memory: this.#arrays,
      pinned: this.memory.pinned,
      release: () => this.#release(),
      releasePinned: () => this.memory.pinnedPool.close(),
    }).begin(unseen)
  }

  #release(): void {
    this.memory.close()
    this.graphs.close()
    this.products.close()
    this.#completions.close()
    this.events.close()
    this.#neighbours.close()
    this.#markers.close()
  }
}

/** The parts whose making may fail. If it does, the context is left. */
function firstParts(context: CudaContext, captures: Captures, markers: EventPool) {
  try {
    const priorities = readPriorities(context)
    const streams = new Streams(context, captures, markers)
    const arrays = createDeviceMemory(context, streams, captures, markers)
    context.room.use(arrays)
    return { priorities, streams, arrays }
  } catch (error) {
    leave(context)
    throw error
  }
}

function readPriorities(context: CudaContext): { least: number; greatest: number } {
  const { calls, out } = context
  context.check(
    context.within(() => calls.cuCtxGetStreamPriorityRange(out.address, out.address + 8)),
    "cuCtxGetStreamPriorityRange",
  )
  return { least: out.int(0), greatest: out.int(8) }
}
