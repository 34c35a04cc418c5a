import { listDevices } from "../../src/index.js"

/** The name of the GPU that is here, if one is: the driver's double is none. Where AUXSTREAM_TEST_DEVICE names one, it has to be. */
export function findGpu(): string | undefined {
  const device = listDevices().find(({ id, name, usable }) => id === "cuda:0" && usable && !isDouble(name))
  if (device === undefined && process.env["AUXSTREAM_TEST_DEVICE"]?.startsWith("cuda") === true) {
    throw new Error("AUXSTREAM_TEST_DEVICE names a GPU, and there is none")
  }
  return device?.name
}

/** Devices to test with, by name, or why there are not enough. */
export type FoundDevices = { readonly names: readonly string[] } | { readonly missing: string }

/** So many GPUs; where there is no GPU at all, the driver's double plays them. */
export async function findDevices(count: number): Promise<FoundDevices> {
  if (findGpu() === undefined) {
    // Imported only here: it makes the library use the double in place of the driver.
    const { double, skip } = await import("../cuda/double.js")
    if (skip !== false) return { missing: skip }
    double.setDevices(count)
  }
  const names = listDevices().flatMap(({ kind, name, usable }) => (kind === "cuda" && usable ? [name] : []))
  return names.length < count
    ? { missing: `NOT TESTED: ${count} GPUs in one process. Here is ${names.join(", ")}.` }
    : { names: names.slice(0, count) }
}

/** As the driver's double names its devices. */
function isDouble(name: string): boolean {
  return name.startsWith("CUDA double")
}
