/**
 * The fork-joins that were called in a capture. A plan outlives the capture, so it must keep no region: a region refers to
 * streams and to the observer that saw it.
 */
import type { OutlinedRegion } from "../order/observer/graph-outline.js"
import type { Operation, PlannedOperation } from "../order/observer/operation.js"
import type { Region } from "../order/observer/region.js"

interface PlannedRegion extends OutlinedRegion {
  readonly beside: number[]
}

export class PlannedRegions {
  readonly list: PlannedRegion[] = []
  readonly #indices = new WeakMap<Region, number>()
  /** The forks that have not been joined yet. */
  #forks: { readonly region: Region; readonly beside: number[] }[] = []

  /** Finds the region of an operation, which will have this index in the plan. */
  place(operation: Operation, index: number): Pick<PlannedOperation, "region" | "branch"> {
    const { region: part } = operation
    this.#forks = this.#forks.filter(({ region }) => !region.isOver)
    for (const { region, beside } of this.#forks) {
      if (part?.region === region.parent?.region && operation.stream === region.streams[0]) beside.push(index)
    }
    const region = part && this.#indexOf(part.region)
    return { region, branch: region === undefined ? undefined : part?.index }
  }

  /** The capture has ended. */
  seal(): void {
    this.#forks = []
  }

  /** Undefined for a region around the capture. */
  #indexOf(region: Region): number | undefined {
    if (!region.isCaptured) return undefined
    return this.#indices.get(region) ?? this.#add(region)
  }

  #add(region: Region): number {
    const { name, mode, reason, parent: part } = region
    const parent = part && this.#indexOf(part.region)
    const beside: number[] = []
    const index = this.list.length
    this.list.push({ name, mode, reason, parent, branch: parent === undefined ? undefined : part?.index, beside })
    this.#indices.set(region, index)
    if (name === "fork" && mode === "parallel") this.#forks.push({ region, beside })
    return index
  }
}
