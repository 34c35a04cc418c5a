/** The kernels, arrays and streams that programs use on one device. All contents are zero. */
import {
  currentStream,
  defineKernel,
  defineModule,
  type Device,
  type DeviceArray,
  type PinnedArray,
  type Stream,
} from "../../../../src/index.js"
import { affineOfStruct } from "../../../support/kernels.js"
import type { Use } from "../model/order.js"
import type { Region } from "../program.js"

/** Does nothing. Its arguments are what matters. */
export const touch = defineKernel({
  name: "test_touch",
  signature: ["in uint8*", "out uint8*", "inout uint8*"],
  cuda: {
    source: `extern "C" __global__ void test_touch(
      const unsigned char* input, unsigned char* output, unsigned char* both) {}`,
  },
  host: { source: "export function test_touch() {}" },
})

/** A module with globals, whose kernels do nothing for no elements. */
export const filters = defineModule({
  cuda: { file: new URL("../../../../examples/filters/filters.cu", import.meta.url) },
  host: { source: "export function convolve() {}\nexport function clip() {}" },
  globals: { taps: ["float32", 4, "constant"], clipped: ["int32", 1] },
})
export const convolve = filters.kernel({ name: "convolve", signature: ["int32", "in float32*", "out float32*"] })
export const clip = filters.kernel({ name: "clip", signature: ["int32", "float32", "inout float32*"] })

type Bytes = DeviceArray<"uint8"> | PinnedArray<"uint8">

/** Part of an array, or a whole pinned array. */
export interface Part<A> {
  readonly array: A
  use(writes: boolean): Use
}

const pinnedLength = 8

function isPinned(array: Bytes): array is PinnedArray<"uint8"> {
  return "array" in array
}

/** What stays from program to program. */
export class World {
  readonly device: Device
  /** Tells the devices apart in the model. */
  readonly number: number
  readonly #bytes: readonly Bytes[]
  readonly #ints: readonly DeviceArray<"int32">[]
  readonly #floats: readonly DeviceArray<"float32">[]
  /** Conditions, which must always be zero. */
  readonly conditions: readonly (DeviceArray<"int32"> | PinnedArray<"int32">)[]
  readonly taps: DeviceArray<"float32">
  readonly clipped: DeviceArray<"int32">
  readonly #owned: readonly Disposable[]

  constructor(device: Device, number: number) {
    this.device = device
    this.number = number
    for (const kernel of [touch, affineOfStruct, convolve, clip]) kernel.load(device)
    const [first, second] = [device.zeros("uint8", 24), device.zeros("uint8", 24)]
    const [third, flag, pinnedFlag] = [device.zeros("float32", 4), device.zeros("int32", 1), device.pinned("int32", 1)]
    const pinned = [device.pinned("uint8", pinnedLength), device.pinned("uint8", pinnedLength)]
    const wraps = [device.wrap(first.address + 4, "uint8", 16), device.wrap(second.address + 8, "uint8", 16)]
    this.#bytes = [first, second, ...wraps, ...pinned]
    this.#ints = [device.wrap(first.address, "int32", 6), flag]
    this.#floats = [device.wrap(second.address, "float32", 6), third]
    this.conditions = [flag, pinnedFlag]
    this.taps = filters.global(device, "taps")
    this.clipped = filters.global(device, "clipped")
    this.#owned = [first, second, third, flag, pinnedFlag, ...pinned]
    device.synchronize()
  }

  /** @param length the length that it must have */
  bytes(
    { array, begin, length }: Region,
    temporaries: readonly DeviceArray<"uint8">[],
    exact?: number,
  ): Part<Bytes> | undefined {
    const all = [...this.#bytes, ...temporaries]
    const chosen = all[array % all.length]
    if (chosen === undefined || (exact !== undefined && chosen.length < exact)) return undefined
    if (isPinned(chosen)) return exact === undefined || exact === chosen.length ? this.whole(chosen) : undefined
    const at = begin % (chosen.length - (exact ?? 0) + 1)
    return this.whole(chosen.subarray(at, at + (exact ?? Math.min(length, chosen.length - at))))
  }

  ints({ array, begin, length }: Region): Part<DeviceArray<"int32">> | undefined {
    return this.#part(this.#ints[array % this.#ints.length], begin, length)
  }

  floats({ array, begin, length }: Region): Part<DeviceArray<"float32">> | undefined {
    return this.#part(this.#floats[array % this.#floats.length], begin, length)
  }

  #part<D extends "int32" | "float32">(
    array: DeviceArray<D> | undefined,
    begin: number,
    length: number,
  ): Part<DeviceArray<D>> | undefined {
    if (array === undefined) return undefined
    const at = begin % array.length
    return this.whole(array.subarray(at, Math.min(array.length, at + length)))
  }

  whole<A extends DeviceArray | PinnedArray>(array: A): Part<A> {
    const { address, byteLength, allocation } = array
    const addresses = Array.from({ length: byteLength }, (_, index) => address + index)
    return { array, use: (writes) => ({ device: this.number, addresses, writes, memory: allocation }) }
  }

  get current(): Stream {
    return currentStream(this.device)
  }

  [Symbol.dispose](): void {
    for (const thing of this.#owned) thing[Symbol.dispose]()
  }
}
