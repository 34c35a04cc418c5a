import type { Device } from "./device.js"
import { DeviceArray } from "./device-array.js"
import { adopt } from "./thenable.js"

/** The arrays made inside one `device.scope()`. */
export class Scope {
  readonly device: Device
  /** The scope around this one. */
  readonly outer: Scope | undefined
  readonly #arrays = new Set<DeviceArray>()

  constructor(device: Device, outer: Scope | undefined) {
    this.device = device
    this.outer = outer
  }

  adopt(array: DeviceArray): void {
    this.#arrays.add(array)
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

  /** Disposes of every array but those reachable from the result, which the scope around takes over. */
  #end(result: unknown): void {
    const kept = arraysIn(result)
    const outer = scopeOf(this.device, this.outer)
    for (const array of this.#arrays) {
      if (!kept.has(array)) array.dispose()
      else outer?.adopt(array)
    }
    this.#arrays.clear()
  }
}

/** The innermost scope of a device. */
export function scopeOf(device: Device, innermost: Scope | undefined): Scope | undefined {
  for (let scope = innermost; scope !== undefined; scope = scope.outer) if (scope.device === device) return scope
  return undefined
}

/** Every array that is reachable from a value; of a view, the array that it is a view of. */
function arraysIn(value: unknown): Set<DeviceArray> {
  const found = new Set<DeviceArray>()
  const seen = new Set<object>()
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== "object" || next === null || seen.has(next) || ArrayBuffer.isView(next)) continue
    seen.add(next)
    const array: DeviceArray | undefined = next instanceof DeviceArray ? next : undefined
    if (array !== undefined) found.add(array.base)
    else open.push(...contentsOf(next))
  }
  return found
}

function contentsOf(object: object): unknown[] {
  if (object instanceof Map) return [...object.keys(), ...object.values()]
  if (object instanceof Set) return [...object]
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
