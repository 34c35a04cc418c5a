import { types } from "node:util"
import { contents, isHolder } from "../../../common/results/contents.js"
import type { Device } from "../device.js"
import { DeviceArray } from "./device-array.js"
import { adopt } from "../../../common/results/thenable.js"

/** One `device.scope()`: the arrays made inside that have not been disposed of. */
export class Scope {
  readonly device: Device
  /** The enclosing scope. */
  readonly outer: Scope | undefined
  readonly #arrays = new Set<DeviceArray>()
  #isOver = false

  constructor(device: Device, innermost: Scope | undefined) {
    this.device = device
    this.outer = innermostOpen(innermost)
  }

  /** Whether the scope has ended. It adopts no more arrays then. */
  get isOver(): boolean {
    return this.#isOver
  }

  adopt(array: DeviceArray): void {
    this.#arrays.add(array)
    array.scope = this
  }

  /** The array has been disposed of by its owner. */
  forget(array: DeviceArray): void {
    this.#arrays.delete(array)
  }

  /** Calls the scope's function, and ends the scope now, or when the returned promise settles. */
  endAfter(fn: () => unknown): unknown {
    let result: unknown
    try {
      result = fn()
      const promise = adopt(result)
      if (promise !== undefined) return this.#endWhenSettled(promise)
    } catch (error) {
      this.#end(undefined)
      throw error
    }
    this.#end(result)
    return result
  }

  async #endWhenSettled(promise: Promise<unknown>): Promise<unknown> {
    let result: unknown
    try {
      result = await promise
      return result
    } finally {
      this.#end(result)
    }
  }

  /** Ends the scope, once all promises reachable from its result have settled. */
  #end(result: unknown, settled: Settled = new Map()): void {
    const { arrays, pending } = reachableFrom(result, settled)
    if (pending.length === 0) return this.#close(arrays)
    const settle = (promise: Promise<unknown>) =>
      promise.then(
        (value) => settled.set(promise, value),
        () => settled.set(promise, undefined),
      )
    void Promise.all(pending.map(settle)).then(() => this.#end(result, settled))
  }

  /** Disposes of all arrays except `kept`, which the enclosing scope adopts. */
  #close(kept: ReadonlySet<DeviceArray>): void {
    this.#isOver = true
    const outer = scopeOf(this.device, this.outer)
    for (const array of this.#arrays) {
      array.scope = undefined
      if (!kept.has(array)) array.dispose()
      else outer?.adopt(array)
    }
    this.#arrays.clear()
  }
}

/** The innermost open scope of a device. */
export function scopeOf(device: Device, innermost: Scope | undefined): Scope | undefined {
  let scope = innermostOpen(innermost)
  while (scope !== undefined && scope.device !== device) scope = innermostOpen(scope.outer)
  return scope
}

/** The innermost scope that is still open. A timer that was started inside a scope may outlive it. */
function innermostOpen(innermost: Scope | undefined): Scope | undefined {
  let scope = innermost
  while (scope?.isOver === true) scope = scope.outer
  return scope
}

/** The results of promises that have settled. */
type Settled = Map<Promise<unknown>, unknown>

/**
 * Finds all arrays reachable from a value (for a view, the array that owns the memory), and the promises of async forks that
 * have not settled.
 */
function reachableFrom(value: unknown, settled: Settled): { arrays: Set<DeviceArray>; pending: Promise<unknown>[] } {
  const arrays = new Set<DeviceArray>()
  const pending: Promise<unknown>[] = []
  const seen = new Set<object>()
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== "object" || next === null || seen.has(next) || ArrayBuffer.isView(next)) continue
    seen.add(next)
    const array: DeviceArray | undefined = next instanceof DeviceArray ? next : undefined
    if (array !== undefined) arrays.add(array.base)
    else if (!isHolder(next)) open.push(...contentsOf(next))
    else {
      const held = next[contents]()
      if (!(held instanceof Promise)) open.push(held)
      else if (settled.has(held)) open.push(settled.get(held))
      else pending.push(held)
    }
  }
  return { arrays, pending }
}

function contentsOf(object: object): unknown[] {
  if (types.isMap(object)) return [...object.keys(), ...object.values()]
  if (types.isSet(object)) return [...object]
  return Object.keys(object).map((key) => read(object, key))
}

/** The value of a property; undefined if its getter throws, because a scope must not fail for that. */
function read(object: object, key: string): unknown {
  try {
    return Reflect.get(object, key)
  } catch {
    return undefined
  }
}
