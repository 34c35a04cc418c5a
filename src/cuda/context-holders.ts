/**
 * How many of our drivers hold each device's context, which is the same one for all of them.
 *
 * Unloading kernels makes CUDA wait for whatever runs in the context (measured on an H200, driver 580), be it another
 * driver's. So what a driver has loaded is kept until the last one on the device has given the context back.
 */
export class ContextHolders {
  readonly #devices = new Map<number, { count: number; kernels: number[] }>()

  opened(device: number): void {
    const held = this.#devices.get(device)
    if (held === undefined) this.#devices.set(device, { count: 1, kernels: [] })
    else held.count += 1
  }

  /** One holder less, and the kernels that it has loaded. Returns what may be unloaded now. */
  released(device: number, kernels: readonly number[]): readonly number[] {
    const held = this.#devices.get(device)
    if (held === undefined) return kernels
    held.count -= 1
    held.kernels.push(...kernels)
    if (held.count > 0) return []
    this.#devices.delete(device)
    return held.kernels
  }
}
