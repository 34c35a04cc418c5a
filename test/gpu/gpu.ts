import { listDevices } from "../../src/index.js"

/** The name of this machine's GPU, if it has one; the double does not count. Throws if AUXSTREAM_TEST_DEVICE names a missing one. */
export function findGpu(): string | undefined {
  const device = listDevices().find(({ id, name, usable }) => id === "cuda:0" && usable && !isDouble(name))
  if (device === undefined && process.env["AUXSTREAM_TEST_DEVICE"]?.startsWith("cuda") === true) {
    throw new Error("AUXSTREAM_TEST_DEVICE names a GPU, and there is none")
  }
  return device?.name
}

/** The names of the devices to test with, or why there are not enough. */
export type FoundDevices = { readonly names: readonly string[] } | { readonly missing: string }

/** This many GPUs. Without any GPU, devices of the driver's double. */
export async function findDevices(count: number): Promise<FoundDevices> {
  if (findGpu() === undefined) {
    // Imported only here, because it makes the library use the double instead of the driver.
    const { double, skip } = await import("../cuda/double.js")
    if (skip !== false) return { missing: skip }
    double.setDevices(count)
  }
  const names = listDevices().flatMap(({ kind, name, usable }) => (kind === "cuda" && usable ? [name] : []))
  return names.length < count
    ? { missing: `NOT TESTED: ${count} GPUs in one process. Here is ${names.join(", ")}.` }
    : { names: names.slice(0, count) }
}

/** The double's names of its devices. */
function isDouble(name: string): boolean {
  return name.startsWith("CUDA double")
}
