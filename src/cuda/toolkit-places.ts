/** Where the toolkit's libraries (NVRTC, cuBLAS) and headers are usually found. */
import { existsSync, readdirSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join } from "node:path"

const MAJORS = [13, 12] as const

/** A library's file names, by CUDA's major version. */
export type ToolkitFile = Readonly<
  Record<(typeof MAJORS)[number], { readonly linux: string; readonly windows: string }>
>

/** The file names, that of the driver's own CUDA version first: what a newer one makes, a driver may not take. */
function fileNames(file: ToolkitFile, driverMajor: number): string[] {
  const majors = [...MAJORS].sort((a, b) => Number(b === driverMajor) - Number(a === driverMajor))
  return majors.map((major) => (process.platform === "win32" ? file[major].windows : file[major].linux))
}

/** What to try to load, best first: of each version the name that the loader may know, then files in the usual places. */
export function toolkitCandidates(file: ToolkitFile, driverMajor: number): string[] {
  const directories = libraryDirectories()
  return fileNames(file, driverMajor).flatMap((name) => {
    const files = directories.map((directory) => join(directory, name))
    return [name, ...files.filter((path) => existsSync(path))]
  })
}

/** In words, for the message that says that it was found nowhere. */
export const TOOLKIT_PLACES =
  "the loader's path, CUDA_PATH, CUDA_HOME, CONDA_PREFIX, /usr/local/cuda*, /opt/cuda, and pip's nvidia packages below " +
  "VIRTUAL_ENV, CONDA_PREFIX, ~/.local and /usr/local"

function libraryDirectories(): string[] {
  const ofToolkits = toolkits().flatMap((root) => [join(root, "lib64"), join(root, "lib"), join(root, "bin")])
  return [...ofToolkits, ...pythonPackages().map((root) => join(root, "lib"))]
}

function toolkits(): string[] {
  const named = [process.env["CUDA_PATH"], process.env["CUDA_HOME"], process.env["CONDA_PREFIX"]]
  return [...named.filter(isNamed), ...installedToolkits()]
}

function isNamed(root: string | undefined): root is string {
  return root !== undefined && root !== ""
}

function installedToolkits(): string[] {
  if (process.platform === "win32") return []
  const versions = children("/usr/local").filter((name) => name.startsWith("cuda-"))
  return [
    "/usr/local/cuda",
    ...versions
      .sort()
      .toReversed()
      .map((name) => join("/usr/local", name)),
    "/opt/cuda",
  ]
}

/** The directories of pip's NVIDIA packages that hold the libraries or the headers. */
function pythonPackages(): string[] {
  const environments = [
    process.env["VIRTUAL_ENV"],
    process.env["CONDA_PREFIX"],
    join(homedir(), ".local"),
    "/usr/local",
  ]
  return environments
    .filter(isNamed)
    .flatMap((root) => children(join(root, "lib")).map((name) => join(root, "lib", name)))
    .flatMap((python) => [join(python, "site-packages", "nvidia"), join(python, "dist-packages", "nvidia")])
    .flatMap((nvidia) => ["cu13", "cuda_nvrtc", "cublas", "cuda_runtime"].map((name) => join(nvidia, name)))
    .filter((root) => existsSync(root))
}

function children(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** The directory with `cuda_fp16.h` and its like that belongs to the NVRTC at a path, or the first there is. */
export function includeDirectories(nvrtcPath: string): string[] {
  const library = dirname(nvrtcPath)
  const beside =
    nvrtcPath.includes("/") || nvrtcPath.includes("\\") ? [dirname(library), dirname(dirname(library))] : []
  const sibling = beside.map((root) => join(root, "cuda_runtime"))
  const roots = [...beside, ...sibling, ...toolkits(), ...pythonPackages()]
  const include = roots.map((root) => join(root, "include")).find((path) => existsSync(join(path, "cuda_fp16.h")))
  if (include === undefined) return []
  const standard = join(include, "cccl")
  return existsSync(standard) ? [include, standard] : [include]
}
