import { listDevices } from "../../src/index.js"

/** The name of the GPU that is here, if one is: the driver's double is none. Where AUXSTREAM_TEST_DEVICE names one, it has to be. */
export function findGpu(): string | undefined {
  const device = listDevices().find(({ id, name, usable }) => id === "cuda:0" && usable && !isDouble(name))
  if (device === undefined && process.env["AUXSTREAM_TEST_DEVICE"]?.startsWith("cuda") === true) {
    throw new Error("AUXSTREAM_TEST_DEVICE names a GPU, and there is none")
  }
  return device?.name
}

/** As the driver's double names its devices. */
function isDouble(name: string): boolean {
  return name.startsWith("CUDA double")
}
