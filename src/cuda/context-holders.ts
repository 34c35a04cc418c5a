/**
 * How many of our drivers hold each device's context, which is the same one for all of them.
 *
 * Some things make CUDA wait for whatever runs in the context, be it another driver's work: unloading kernels and giving
 * back page-locked memory (measured on an H200, driver 580), ending cuBLAS (as its manual says). They are done when the
 * last driver on the device is closed, when nothing of ours runs there any more.
 */
export class ContextHolders {
  readonly #devices = new Map<number, { count: number; cleanups: (() => void)[] }>()

  opened(device: number): void {
    const held = this.#devices.get(device)
    if (held === undefined) this.#devices.set(device, { count: 1, cleanups: [] })
    else held.count += 1
  }

  /** One holder less, and what it leaves to be done. Returns what is to be done now. */
  released(device: number, cleanups: readonly (() => void)[]): readonly (() => void)[] {
    const held = this.#devices.get(device)
    if (held === undefined) return cleanups
    held.count -= 1
    held.cleanups.push(...cleanups)
    if (held.count > 0) return []
    this.#devices.delete(device)
    return held.cleanups
  }
}
