/** Reads the device's figures directly from the CUDA driver, as another user of it in this process would. */

import koffi from "koffi"

const multiprocessorCount = 16

type Call = (...args: unknown[]) => number

/** The driver's own figures. */
export interface DriverFigures {
  multiprocessors(): number
  /** Free bytes of device memory, counting all processes. */
  freeMemory(): number
  /** Driver calls with handles as numbers. They return a status. */
  readonly record: (event: number, stream: number) => number
  readonly wait: (stream: number, event: number, flags: number) => number
}

let opened: DriverFigures | undefined

/** Must be called after a device is open, because auxstream must be the first to configure koffi. */
export function driver(): DriverFigures {
  opened ??= open()
  return opened
}

function open(): DriverFigures {
  const library = koffi.load(process.env["AUXSTREAM_LIBCUDA"] || "libcuda.so.1")
  const out = new BigInt64Array(new ArrayBuffer(64))
  const bare = (name: string, parameters: string[]) => library.func(name, "int", parameters) as Call
  const call = (name: string, parameters: string[]) => {
    const native = bare(name, parameters)
    return (...args: unknown[]) => {
      const status = native(...args)
      if (status !== 0) throw new Error(`${name} gave ${status}`)
    }
  }
  const retain = call("cuDevicePrimaryCtxRetain", ["void *", "int"])
  const push = call("cuCtxPushCurrent_v2", ["uintptr_t"])
  const pop = call("cuCtxPopCurrent_v2", ["void *"])
  const getAttribute = call("cuDeviceGetAttribute", ["void *", "int", "int"])
  const getMemory = call("cuMemGetInfo_v2", ["void *", "void *"])
  const total = new BigInt64Array(new ArrayBuffer(64))
  retain(out, 0)
  const context = out[0]
  return {
    multiprocessors() {
      getAttribute(out, multiprocessorCount, 0)
      return new Int32Array(out.buffer)[0] ?? 0
    },
    freeMemory() {
      push(context)
      try {
        getMemory(out, total)
        return Number(out[0])
      } finally {
        pop(total)
      }
    },
    record: bare("cuEventRecord", ["uintptr_t", "uintptr_t"]),
    wait: bare("cuStreamWaitEvent", ["uintptr_t", "uintptr_t", "uint32_t"]),
  }
}
