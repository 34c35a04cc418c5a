/** Names devices and the environment in which a decision holds. */
import process from "node:process"
import { VERSION } from "../../common/version.js"
import type { Driver } from "../../driver/driver.js"
import type { Environment } from "./stored.js"

/** A device as a policy knows it, also after it was closed. */
export interface DeviceFacts {
  /** Equal for the same device only, as long as the process runs. */
  readonly identity: string
  readonly environment: Environment
}

/** Names the device of a driver. */
export function deviceFacts({ kind, name, properties }: Driver): DeviceFacts {
  const { driverVersion, multiprocessors, uuid } = properties
  const environment: Environment = {
    ...{ device: name, multiprocessors },
    driver: driverVersion === undefined ? null : `CUDA ${driverVersion.major}.${driverVersion.minor}`,
    ...{ auxstream: VERSION, runtime: runtime() },
  }
  return { identity: `${kind} ${uuid ?? ""} ${environmentKey(environment)}`, environment }
}

/** Equal for equal environments. */
export function environmentKey({ device, multiprocessors, driver, auxstream, runtime }: Environment): string {
  return JSON.stringify([device, multiprocessors, driver, auxstream, runtime])
}

/** JavaScript's own speed decides, too, but a patch release does not change it. */
function runtime(): string {
  const { bun, deno, node } = process.versions
  const [name, version] = bun !== undefined ? ["Bun", bun] : deno !== undefined ? ["Deno", deno] : ["Node.js", node]
  return `${name} ${version.split(".")[0]}`
}
