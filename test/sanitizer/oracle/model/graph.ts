/** A captured graph as the model sees it. */
import type { Operation, Space, Use } from "./order.js"

/** For memory that a graph has made: what stands for all of that graph's memory. */
const owners = new WeakMap<object, object>()

/** A graph: its operations, numbered from 0, and the memory that it names. */
export class ModelGraph {
  space: Space
  /** Stands for the memory of arrays that are made inside. */
  readonly #own: object = {}
  /** The memory of the graphs that were launched inside. */
  #parts: ReadonlySet<object>
  /** The operations that are disabled now, by number. */
  readonly disabled = new Set<number>()

  constructor(space: Space, parts: ReadonlySet<object>) {
    this.space = space
    this.#parts = parts
    connections.connect(this.memory())
  }

  replace(space: Space, parts: ReadonlySet<object>): void {
    this.space = space
    this.#parts = parts
    this.disabled.clear()
    connections.connect(this.memory())
  }

  /** The graph has made an array of this memory. */
  owns(memory: object): void {
    owners.set(memory, this.#own)
  }

  /** The memory that its operations name, its own included. */
  memory(): Set<object> {
    const used = this.space.operations.flatMap(({ uses }) => uses.map(({ memory }) => owners.get(memory) ?? memory))
    return new Set([this.#own, ...used, ...this.#parts])
  }

  isConnectedTo(other: ModelGraph): boolean {
    return connections.areConnected(this.#own, other.#own)
  }

  /** The operations of a launch. Disabled ones do nothing. */
  operations(): Operation[] {
    return this.space.operations.map((one, index) => (this.disabled.has(index) ? { ...one, uses: [] } : one))
  }

  /** Gives a launch other arguments. What it uses beside its arguments stays. */
  change(operation: number, uses: readonly Use[]): void {
    const former = this.space.operations[operation]
    if (former === undefined) return
    const [level, ...inner] = former.levels
    this.space.operations[operation] = {
      ...former,
      uses: [...uses, ...former.uses.slice(uses.length)],
      levels: level === undefined ? [] : [{ ...level, isSeen: false }, ...inner],
    }
    connections.connect(this.memory())
  }
}

/**
 * Which memory was ever named by one graph, directly or by way of other graphs. The library orders launches of graphs that are
 * connected so, also if the graph that connects them is gone.
 */
class Connections {
  readonly #next = new WeakMap<object, object>()

  #rootOf(memory: object): object {
    let root = memory
    for (let next = this.#next.get(root); next !== undefined; next = this.#next.get(root)) root = next
    return root
  }

  connect(all: Iterable<object>): void {
    const [first, ...others] = new Set([...all].map((one) => this.#rootOf(one)))
    for (const root of others) if (first !== undefined) this.#next.set(root, first)
  }

  areConnected(one: object, other: object): boolean {
    return this.#rootOf(one) === this.#rootOf(other)
  }
}

/** For all programs, because they share arrays. */
const connections = new Connections()
