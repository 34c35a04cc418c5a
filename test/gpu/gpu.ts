import { listDevices } from "../../src/index.js"

/** The name of the GPU that is here, if one is: the driver's double is none. Where AUXSTREAM_TEST_DEVICE names one, it has to be. */
export function findGpu(): string | undefined {
  const device = listDevices().find(({ id, name, usable }) => id === "cuda:0" && usable && !isDouble(name))
  if (device === undefined && process.env["AUXSTREAM_TEST_DEVICE"]?.startsWith("cuda") === true) {
    throw new Error("AUXSTREAM_TEST_DEVICE names a GPU, and there is none")
  }
  return device?.name
}

/** Two devices to test with, or why there are none. */
export type Two = { readonly names: readonly string[] } | { readonly missing: string }

/** The first two GPUs; where there is no GPU at all, the driver's double plays two. */
export async function findTwo(): Promise<Two> {
  if (findGpu() === undefined) {
    // Imported only here: it makes the library use the double in place of the driver.
    const { double, skip } = await import("../cuda/double.js")
    if (skip !== false) return { missing: skip }
    double.setDevices(2)
  }
  const names = listDevices().flatMap(({ kind, name, usable }) => (kind === "cuda" && usable ? [name] : []))
  return names.length < 2 ? { missing: `NOT TESTED: two GPUs. There is one, ${names[0]}.` } : { names }
}

/** As the driver's double names its devices. */
function isDouble(name: string): boolean {
  return name.startsWith("CUDA double")
}
