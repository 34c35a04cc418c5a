/** The image of a module for one device: given by the user, or compiled from CUDA C++. */
import { readFileSync } from "node:fs"
import { AuxstreamError } from "../../common/errors.js"
import { checkFile, localPath, localUrl } from "../../common/local-file.js"
import type { CompileOptions, CudaModuleBody } from "../../driver/module-body.js"
import type { ModuleSource } from "../../driver/modules.js"
import { compile, compileAnew, type Compiled, type CompileRequest } from "../toolkit/compile.js"
import type { Steps } from "../native/steps.js"

/** What a device needs its code compiled for. */
export interface Target {
  /** The device's compute capability: 90 is 9.0. */
  readonly architecture: number
  /** The driver's CUDA version: 13000 is 13.0. */
  readonly driverVersion: number
}

/** @throws AuxstreamError AUX_KERNEL_UNAVAILABLE without code for CUDA or a compiler, AUX_KERNEL_INVALID */
export function* codeOf(module: ModuleSource, target: Target): Steps<Compiled> {
  const body = bodyOf(module)
  if (isCompiled(body)) return yield* compile(requestOf(module, body, target))
  return { image: imageOf(body), names: new Map(), isCached: false }
}

/** Like {@link codeOf}, of CUDA C++ whose image in the cache is damaged or stale. */
export function* codeAnew(module: ModuleSource, target: Target): Steps<Compiled> {
  const body = bodyOf(module)
  return isCompiled(body) ? yield* compileAnew(requestOf(module, body, target)) : yield* codeOf(module, target)
}

type CompiledBody = Extract<CudaModuleBody, CompileOptions>

function isCompiled(body: CudaModuleBody): body is CompiledBody {
  return "source" in body || "file" in body
}

function bodyOf({ cuda, label }: ModuleSource): CudaModuleBody {
  if (cuda !== undefined) return cuda
  throw new AuxstreamError(
    "AUX_KERNEL_UNAVAILABLE",
    `${label} has no code for CUDA. Give its definition a \`cuda\` body with file, source, ptx, cubin or fatbin.`,
  )
}

function imageOf(body: Exclude<CudaModuleBody, CompiledBody>): Uint8Array {
  if ("cubin" in body) return body.cubin
  if ("fatbin" in body) return body.fatbin
  return typeof body.ptx === "string" ? new TextEncoder().encode(body.ptx) : body.ptx
}

function requestOf(module: ModuleSource, body: CompiledBody, target: Target): CompileRequest {
  const { name, label, expressions } = module
  const { options = [], headers = {}, includePaths = [] } = body
  const fault = faultOf(label)
  const file = "file" in body ? localPath(localUrl(body.file, "its file", fault), fault) : `${name}.cu`
  return {
    label,
    file,
    source: "file" in body ? readSource(file, fault) : body.source,
    options,
    headers: new Map(Object.entries(headers)),
    includePaths: includePaths.map((path) => localPath(localUrl(path, "its include path", fault), fault)),
    expressions,
    ...target,
  }
}

function faultOf(label: string): (reason: string, cause?: unknown) => AuxstreamError {
  return (reason, cause) => {
    const options = cause === undefined ? undefined : { cause }
    return new AuxstreamError("AUX_KERNEL_INVALID", `${label} cannot be compiled: ${reason}.`, options)
  }
}

function readSource(path: string, fault: ReturnType<typeof faultOf>): string {
  checkFile(path, fault)
  const text = readFileSync(path, "utf8")
  if (text.includes("\0")) throw fault(`${path} has a zero byte, where C++ ends, so it is not a source`)
  return text
}
