/** Lists where the toolkit's libraries (NVRTC, cuBLAS) and headers usually are, on each platform. Never loads anything. */
import { absolute, joined, named, versions, type Machine } from "../native/machine.js"

const MAJORS = [13, 12] as const

/** A library's file name for each major version of CUDA. */
export type ToolkitFile = Readonly<
  Record<(typeof MAJORS)[number], { readonly linux: string; readonly windows: string }>
>

/** The folders below `site-packages/nvidia` with the libraries or the headers. CUDA 13 has one for everything. */
const PYTHON_PACKAGES = ["cu13", "cuda_nvrtc", "cublas", "cuda_cupti", "nvtx", "cuda_runtime"]

/** The file names, that of the driver's own CUDA version first: a driver may reject the output of a newer compiler. */
function fileNames({ platform }: Machine, file: ToolkitFile, driverMajor: number): string[] {
  const majors = [...MAJORS].sort((a, b) => Number(b === driverMajor) - Number(a === driverMajor))
  return majors.map((major) => (platform === "win32" ? file[major].windows : file[major].linux))
}

/**
 * The paths to try to load, best first: for each version the bare name, for the loader to find, then files in the usual
 * places. On Windows the folders of `PATH` take the bare name's place, because Windows also searches the current folder.
 */
export function toolkitCandidates(machine: Machine, file: ToolkitFile, driverMajor: number): string[] {
  const folders = [...pathFolders(machine), ...libraryFolders(machine)]
  return fileNames(machine, file, driverMajor).flatMap((name) => {
    const files = folders.map((folder) => joined(machine, folder, name)).filter((path) => machine.exists(path))
    return machine.platform === "win32" ? files : [name, ...files]
  })
}

/** The searched places, for the error message. */
export function toolkitPlaces({ platform }: Machine): string {
  return platform === "win32"
    ? "PATH, CUDA_PATH, CUDA_HOME, CONDA_PREFIX, the NVIDIA GPU Computing Toolkit below ProgramFiles, and pip's nvidia " +
        "packages below VIRTUAL_ENV, CONDA_PREFIX, APPDATA and LOCALAPPDATA"
    : "the loader's path, CUDA_PATH, CUDA_HOME, CONDA_PREFIX, /usr/local/cuda*, /opt/cuda, and pip's nvidia packages " +
        "below VIRTUAL_ENV, CONDA_PREFIX, ~/.local and /usr/local"
}

/** The folders with CUDA's headers (`cuda_fp16.h`) that belong to the NVRTC at a path, or else the first ones found. */
export function includeFolders(machine: Machine, nvrtcPath: string | undefined): string[] {
  const roots = [...rootsAround(machine, nvrtcPath), ...toolkits(machine), ...pythonPackages(machine)]
  const folders = roots.flatMap((root) => [
    joined(machine, root, "include"),
    ...targets(machine, root).map((target) => joined(machine, target, "include")),
    ...versions(machine, joined(machine, root, "include", "targets"), /./),
  ])
  const include = folders.find((folder) => machine.exists(joined(machine, folder, "cuda_fp16.h")))
  if (include === undefined) return []
  const standard = joined(machine, include, "cccl")
  return machine.exists(standard) ? [include, standard] : [include]
}

/** The three folders above a library's folder: one is the toolkit's, above `lib`, `bin\x64` or `targets/x86_64-linux/lib`. */
function rootsAround(machine: Machine, path: string | undefined): string[] {
  if (absolute(machine, path) === undefined) return []
  const above = ["..", "../..", "../../.."].map((steps) => joined(machine, path ?? "", "..", steps))
  return [...above, ...above.map((root) => joined(machine, root, "cuda_runtime"))]
}

function pathFolders(machine: Machine): string[] {
  if (machine.platform !== "win32") return []
  const path = machine.environment["PATH"] ?? machine.environment["Path"] ?? ""
  return path.split(";").flatMap((folder) => absolute(machine, folder.replaceAll('"', "")) ?? [])
}

function libraryFolders(machine: Machine): string[] {
  const roots = [...toolkits(machine), ...pythonPackages(machine)]
  const inside = machine.platform === "win32" ? ["bin/x64", "bin/x86_64", "bin"] : ["lib64", "lib"]
  return roots.flatMap((root) => [
    ...inside.map((folder) => joined(machine, root, folder)),
    ...targets(machine, root).map((target) => joined(machine, target, "lib")),
  ])
}

/** On Linux, a toolkit may have a folder for each target machine, as conda's does. */
function targets(machine: Machine, root: string): string[] {
  return machine.platform === "win32" ? [] : versions(machine, joined(machine, root, "targets"), /-linux$/)
}

function toolkits(machine: Machine): string[] {
  const conda = named(machine, "CONDA_PREFIX")
  const chosen = [named(machine, "CUDA_PATH"), named(machine, "CUDA_HOME")]
  if (machine.platform !== "win32") {
    const installed = ["/usr/local/cuda", ...versions(machine, "/usr/local", /^cuda-/), "/opt/cuda"]
    return present([...chosen, conda, ...installed])
  }
  const programs = named(machine, "ProgramFiles")
  const installed = programs && joined(machine, programs, "NVIDIA GPU Computing Toolkit", "CUDA")
  return present([...chosen, conda && joined(machine, conda, "Library"), ...versions(machine, installed, /^v\d/)])
}

/** The folders of pip's NVIDIA packages. */
function pythonPackages(machine: Machine): string[] {
  return sitePackages(machine)
    .flatMap((site) => PYTHON_PACKAGES.map((name) => joined(machine, site, "nvidia", name)))
    .filter((folder) => machine.exists(folder))
}

function sitePackages(machine: Machine): string[] {
  const environments = present([named(machine, "VIRTUAL_ENV"), named(machine, "CONDA_PREFIX")])
  if (machine.platform !== "win32") {
    const home = absolute(machine, machine.home)
    const roots = present([...environments, home && joined(machine, home, ".local"), "/usr/local"])
    const pythons = roots.flatMap((root) => versions(machine, joined(machine, root, "lib"), /./))
    return pythons.flatMap((python) => ["site-packages", "dist-packages"].map((name) => joined(machine, python, name)))
  }
  const [roaming, local] = [named(machine, "APPDATA"), named(machine, "LOCALAPPDATA")]
  const ofUser = versions(machine, roaming && joined(machine, roaming, "Python"), /^Python\d/)
  const installed = versions(machine, local && joined(machine, local, "Programs", "Python"), /^Python\d/)
  const libraries = [...environments, ...installed].map((root) => joined(machine, root, "Lib"))
  return [...libraries, ...ofUser].map((root) => joined(machine, root, "site-packages"))
}

function present(paths: readonly (string | undefined)[]): string[] {
  return paths.filter((path) => path !== undefined)
}
