/** Graphs: captured from streams, made executable, launched, made part of others. */
import type { GraphHandle, StreamHandle } from "../../driver.js"
import { AuxstreamError } from "../../common/errors.js"
import { CMemory } from "../api/c-memory.js"
import type { Captures } from "../stream/captures.js"
import type { Conditionals } from "./conditionals.js"
import type { CudaContext } from "../api/context.js"
import type { Quiet } from "../sharing/quiet.js"
import { SUCCESS } from "../api/status.js"

const RESULT_INFO_BYTES = 64
/** Nodes run with the priorities of the streams that they were captured on, not with that of the launching one. */
const USE_NODE_PRIORITY = 8

/** What an executable was made from. */
interface Instantiation {
  readonly template: number
  /** Of its instantiation: an update does not change them. */
  readonly flags: number
}

/** So many executables wait for a quiet device at most, unless it is busy for so many milliseconds at a time. */
const MOST_RETIRED = 16
const LONGEST_SWEEP = 20

/** The graphs of one device. Handles are the executables'. */
export class Graphs {
  readonly #context: CudaContext
  readonly #captures: Captures
  readonly #conditionals: Conditionals
  readonly #instantiations = new Map<GraphHandle, Instantiation>()
  readonly #quiet: Quiet
  /** Executables with conditionals that nobody needs: CUDA waits for all that runs when it destroys one. */
  readonly #retired = new Set<GraphHandle>()
  readonly #out = new CMemory(RESULT_INFO_BYTES)

  constructor(context: CudaContext, captures: Captures, conditionals: Conditionals, quiet: Quiet) {
    this.#context = context
    this.#quiet = quiet
    this.#captures = captures
    this.#conditionals = conditionals
  }

  /** See `Driver.endCapture`. */
  endCapture(stream: StreamHandle, update: GraphHandle | undefined, keepsPriorities: boolean): GraphHandle {
    this.sweep()
    const template = this.#captures.end(stream)
    this.#context.holding.add("graph", template)
    const instantiation = { template, flags: keepsPriorities ? USE_NODE_PRIORITY : 0 }
    try {
      const handle =
        update !== undefined && this.#updates(update, instantiation) ? update : this.#instantiate(instantiation)
      this.#keep(handle, instantiation)
      return handle
    } catch (error) {
      this.#destroyTemplate(template)
      throw error
    }
  }

  cancelCapture(stream: StreamHandle): void {
    const graph = this.#captures.cancel(stream)
    if (graph !== undefined) this.#destroyTemplate(graph)
  }

  #instantiate({ template, flags }: Instantiation): GraphHandle {
    const { cuGraphInstantiateWithFlags } = this.#context.graphCalls
    const status = this.#context.room.for(() =>
      this.#context.within(() => cuGraphInstantiateWithFlags(this.#out.address, template, flags)),
    )
    this.#context.check(status, "cuGraphInstantiateWithFlags")
    const executable = this.#out.number(0)
    this.#context.holding.add("executable", executable)
    return executable
  }

  /** Does the executable take the graph's parameters? A graph of another shape leaves it as it was. */
  #updates(executable: GraphHandle, { template, flags }: Instantiation): boolean {
    if (this.#instantiations.get(executable)?.flags !== flags) return false
    const { cuGraphExecUpdate } = this.#context.graphCalls
    return this.#context.within(() => cuGraphExecUpdate(executable, template, this.#out.address)) === SUCCESS
  }

  #keep(executable: GraphHandle, instantiation: Instantiation): void {
    const former = this.#instantiations.get(executable)
    this.#instantiations.set(executable, instantiation)
    if (former !== undefined) this.#destroyTemplate(former.template)
  }

  #destroyTemplate(graph: number): void {
    this.#conditionals.forget(graph)
    if (this.#context.isLost) return
    this.#context.holding.remove(graph)
    const status = this.#context.graphCalls.cuGraphDestroy(graph)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuGraphDestroy")
  }

  /** Queues a launch; on a captured stream, the graph becomes one node. */
  launch(graph: GraphHandle, stream: StreamHandle): void {
    if (this.#captures.isInOwnCapture(stream)) return this.#addTo(stream, graph)
    const { cuGraphLaunch } = this.#context.graphCalls
    const status = cuGraphLaunch(graph, stream)
    if (status === SUCCESS) return
    this.#context.check(
      this.#context.room.for(() => cuGraphLaunch(graph, stream), status),
      "cuGraphLaunch",
    )
  }

  #addTo(stream: StreamHandle, executable: GraphHandle): void {
    const { template } = this.#instantiations.get(executable) ?? { template: 0 }
    if (this.#conditionals.areIn(template)) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        "a graph with conditionals cannot be launched inside a capture, which CUDA does not allow; call its function there",
      )
    }
    const { graph, dependencies, count } = this.#captures.pointOf(stream)
    const { cuGraphAddChildGraphNode } = this.#context.graphCalls
    const status = this.#context.room.for(() =>
      cuGraphAddChildGraphNode(this.#out.address, graph, dependencies, count, template),
    )
    this.#context.check(status, "cuGraphAddChildGraphNode")
    this.#captures.continueAfter(this.#out.number(0), stream)
  }

  destroy(executable: GraphHandle): void {
    const instantiation = this.#instantiations.get(executable)
    if (instantiation === undefined) return
    this.#instantiations.delete(executable)
    const waits = this.#conditionals.areIn(instantiation.template)
    this.#destroyTemplate(instantiation.template)
    if (waits) this.#retired.add(executable)
    else this.#destroyExecutable(executable)
    this.sweep()
  }

  #destroyExecutable(executable: GraphHandle): void {
    if (this.#context.isLost) return
    this.#context.holding.remove(executable)
    const status = this.#context.graphCalls.cuGraphExecDestroy(executable)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuGraphExecDestroy")
  }

  /** Destroys what was retired, if nothing runs. Should there be too many, it is waited for, but not for long. */
  sweep(): void {
    if (this.#retired.size === 0 || this.#context.isLost) return
    if (!this.#isQuiet()) return
    for (const executable of this.#retired) this.#destroyExecutable(executable)
    this.#retired.clear()
  }

  #isQuiet(): boolean {
    try {
      return this.#quiet.within(this.#retired.size > MOST_RETIRED ? LONGEST_SWEEP : 0)
    } catch {
      return false // The device has just been lost. The next call that may throw says so.
    }
  }

  /** All work is over. */
  close(): void {
    for (const executable of [...this.#instantiations.keys()]) this.destroy(executable)
    // Those that wait for a quiet device are destroyed with what else this one leaves: see `leftovers.ts`.
    this.#retired.clear()
  }
}
