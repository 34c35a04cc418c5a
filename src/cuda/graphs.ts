/** Graphs: captured from streams, made executable, launched. */
import type { GraphHandle, StreamHandle } from "../driver.js"
import { CMemory } from "./c-memory.js"
import type { CudaContext } from "./context.js"
import { SUCCESS } from "./status.js"

/**
 * Nothing spoils a capture that is no part of it. In the thread-local mode CUDA refuses allocations, queries, waits and
 * the loading of kernels on every other stream of the thread meanwhile (measured on an H200, driver 580), and this one
 * thread is where all of a program's work comes from. What may not be done inside is refused by the runtime, by name.
 */
const MODE_RELAXED = 2
const RESULT_INFO_BYTES = 64

/** The graphs of one device. */
export class Graphs {
  readonly #context: CudaContext
  readonly #executables = new Set<GraphHandle>()
  readonly #out = new CMemory(RESULT_INFO_BYTES)

  constructor(context: CudaContext) {
    this.#context = context
  }

  beginCapture(stream: StreamHandle): void {
    const { cuStreamBeginCapture } = this.#context.graphCalls
    this.#context.check(cuStreamBeginCapture(stream, MODE_RELAXED), "cuStreamBeginCapture")
    this.#context.captures += 1
  }

  /** See `Driver.endCapture`. */
  endCapture(stream: StreamHandle, update: GraphHandle | undefined): GraphHandle {
    const graph = this.#end(stream)
    try {
      return update !== undefined && this.#updates(update, graph) ? update : this.#instantiate(graph)
    } finally {
      this.#destroyGraph(graph)
    }
  }

  cancelCapture(stream: StreamHandle): void {
    if (this.#context.isLost) return
    this.#context.captures -= 1
    const status = this.#context.graphCalls.cuStreamEndCapture(stream, this.#out.address)
    // An invalidated capture gives no graph, and an error that says what is known: it is being dropped.
    if (status === SUCCESS) this.#destroyGraph(this.#out.number(0))
  }

  #end(stream: StreamHandle): number {
    this.#context.captures -= 1
    const { cuStreamEndCapture } = this.#context.graphCalls
    this.#context.check(cuStreamEndCapture(stream, this.#out.address), "cuStreamEndCapture")
    return this.#out.number(0)
  }

  #instantiate(graph: number): GraphHandle {
    const { cuGraphInstantiateWithFlags } = this.#context.graphCalls
    const status = this.#context.within(() => cuGraphInstantiateWithFlags(this.#out.address, graph, 0))
    this.#context.check(status, "cuGraphInstantiateWithFlags")
    const executable = this.#out.number(0)
    this.#executables.add(executable)
    return executable
  }

  /** Does the executable take the graph's parameters? A graph of another shape leaves it as it was. */
  #updates(executable: GraphHandle, graph: number): boolean {
    const { cuGraphExecUpdate } = this.#context.graphCalls
    return this.#context.within(() => cuGraphExecUpdate(executable, graph, this.#out.address)) === SUCCESS
  }

  #destroyGraph(graph: number): void {
    const status = this.#context.graphCalls.cuGraphDestroy(graph)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuGraphDestroy")
  }

  launch(graph: GraphHandle, stream: StreamHandle): void {
    const status = this.#context.graphCalls.cuGraphLaunch(graph, stream)
    if (status !== SUCCESS) this.#context.check(status, "cuGraphLaunch")
  }

  destroy(graph: GraphHandle): void {
    if (!this.#executables.delete(graph) || this.#context.isLost) return
    const status = this.#context.graphCalls.cuGraphExecDestroy(graph)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuGraphExecDestroy")
  }

  /** All work is over. */
  close(): void {
    for (const executable of [...this.#executables]) this.destroy(executable)
  }
}
