import { types } from "node:util"
import { contents, isHolder } from "../../common/contents.js"
import type { Device } from "./device.js"
import { DeviceArray } from "./device-array.js"
import { adopt } from "../../common/thenable.js"

/** The arrays made inside one `device.scope()` that have not been disposed of. */
export class Scope {
  readonly device: Device
  /** The scope around this one. */
  readonly outer: Scope | undefined
  readonly #arrays = new Set<DeviceArray>()
  #isOver = false

  constructor(device: Device, innermost: Scope | undefined) {
    this.device = device
    this.outer = goingOn(innermost)
  }

  /** Has it ended, so that it takes in nothing any more? */
  get isOver(): boolean {
    return this.#isOver
  }

  adopt(array: DeviceArray): void {
    this.#arrays.add(array)
    array.scope = this
  }

  /** The array was disposed of. */
  forget(array: DeviceArray): void {
    this.#arrays.delete(array)
  }

  /** Runs the scope's function and ends the scope: at once, or when the promise that it returns settles. */
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

  /** Disposes of every array but those kept, which the scope around takes over. */
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

/** The innermost scope of a device that has not ended. */
export function scopeOf(device: Device, innermost: Scope | undefined): Scope | undefined {
  let scope = goingOn(innermost)
  while (scope !== undefined && scope.device !== device) scope = goingOn(scope.outer)
  return scope
}

/** The innermost scope that has not ended: a timer that was started inside one outlives it. */
function goingOn(innermost: Scope | undefined): Scope | undefined {
  let scope = innermost
  while (scope?.isOver === true) scope = scope.outer
  return scope
}

/** What promises that were found have come to. */
type Settled = Map<Promise<unknown>, unknown>

/**
 * Every array that is reachable from a value: of a view, the array that it is a view of. And the promises on the way, of
 * forks that are not over.
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

/** What a property holds; nothing if its getter throws, which is not the scope's business. */
function read(object: object, key: string): unknown {
  try {
    return Reflect.get(object, key)
  } catch {
    return undefined
  }
}
