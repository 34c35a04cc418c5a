import assert from "node:assert/strict"
import { test } from "node:test"
import { driverLibraries } from "../../../src/cuda/api/library.js"
import { includeFolders, toolkitCandidates, toolkitPlaces } from "../../../src/cuda/toolkit/toolkit-places.js"
import { builtinsName } from "../../../src/cuda/toolkit/nvrtc.js"
import { machineOf } from "../../support/machine.js"

const file = {
  13: { linux: "libnvrtc.so.13", windows: "nvrtc64_130_0.dll" },
  12: { linux: "libnvrtc.so.12", windows: "nvrtc64_120_0.dll" },
} as const

/** The files tried for a driver of CUDA 13, if these exist. */
function linux(environment: Record<string, string>, ...files: string[]): string[] {
  return toolkitCandidates(machineOf("linux", environment, files), file, 13)
}

function windows(environment: Record<string, string>, ...files: string[]): string[] {
  return toolkitCandidates(machineOf("win32", environment, files), file, 13)
}

test("a library of the driver's own version is preferred wherever it is: what a newer one makes, a driver may not take", () => {
  const files = [`/cuda/lib64/${file[12].linux}`, `/cuda/lib64/${file[13].linux}`]
  for (const [driver, other] of [
    [12, 13],
    [13, 12],
  ] as const) {
    const candidates = toolkitCandidates(machineOf("linux", { CUDA_PATH: "/cuda" }, files), file, driver)
    const ofMajor = (major: 12 | 13): string[] => [file[major].linux, `/cuda/lib64/${file[major].linux}`]
    assert.deepEqual(candidates, [...ofMajor(driver), ...ofMajor(other)])
  }
})

test("on Linux: the loader's name first, then toolkits, conda and pip, in this order", () => {
  const name = file[13].linux
  const files = [
    `/home/me/.local/lib/python3.12/site-packages/nvidia/cu13/lib/${name}`,
    `/venv/lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib/${name}`,
    `/venv/lib/python3.13/site-packages/nvidia/cu13/lib/${name}`,
    `/opt/cuda/lib64/${name}`,
    `/usr/local/cuda-13.2/targets/sbsa-linux/lib/${name}`,
    `/usr/local/cuda-13.10/lib64/${name}`,
    `/conda/lib/${name}`,
  ]
  const environment = { HOME: "/home/me", VIRTUAL_ENV: "/venv", CONDA_PREFIX: "/conda" }
  const [loaders, ...rest] = linux(environment, ...files)
  assert.equal(loaders, name)
  assert.deepEqual(rest, [...files.toReversed(), file[12].linux])
})

test("on Windows: PATH, toolkits, conda and pip, in CUDA 13's folders and in CUDA 12's", () => {
  const name = file[13].windows
  const programs = "C:\\Program Files\\NVIDIA GPU Computing Toolkit\\CUDA"
  const files = [
    `C:\\tools\\${name}`,
    `D:\\cuda\\bin\\x64\\${name}`,
    `C:\\conda\\Library\\bin\\x64\\${name}`,
    `C:\\conda\\Library\\bin\\${name}`,
    `${programs}\\v13.10\\bin\\x64\\${name}`,
    `${programs}\\v13.2\\bin\\x64\\${name}`,
    `C:\\venv\\Lib\\site-packages\\nvidia\\cu13\\bin\\x86_64\\${name}`,
    `C:\\Local\\Programs\\Python\\Python313\\Lib\\site-packages\\nvidia\\cuda_nvrtc\\bin\\${name}`,
    `C:\\Roaming\\Python\\Python313\\site-packages\\nvidia\\cu13\\bin\\x86_64\\${name}`,
  ]
  const environment = {
    PATH: 'C:\\windows;"C:\\tools"',
    CUDA_PATH: "D:\\cuda",
    CONDA_PREFIX: "C:\\conda",
    ProgramFiles: "C:\\Program Files",
    VIRTUAL_ENV: "C:\\venv",
    LOCALAPPDATA: "C:\\Local",
    APPDATA: "C:\\Roaming",
  }
  assert.deepEqual(windows(environment, ...files), files)
  const older = `${programs}\\v12.9\\bin\\${file[12].windows}`
  assert.deepEqual(windows(environment, older), [older])
})

test("only absolute places are searched: nothing in the current folder is loaded", () => {
  const relative = ["", ".", "cuda", "./cuda", "../cuda"]
  for (const place of relative) {
    const environment = { HOME: place, CUDA_PATH: place, CUDA_HOME: place, CONDA_PREFIX: place, VIRTUAL_ENV: place }
    const everywhere = machineOf("linux", environment)
    const asked: string[] = []
    const machine = {
      ...everywhere,
      exists: (path: string) => asked.push(path) > 0,
      children: (path: string) => (asked.push(path), ["python3.12"]),
    }
    for (const candidate of toolkitCandidates(machine, file, 13)) {
      assert.ok(candidate.startsWith("/") || !candidate.includes("/"), candidate)
    }
    includeFolders(machine, undefined)
    assert.deepEqual(
      asked.filter((path) => !path.startsWith("/")),
      [],
    )
  }
})

test("on Windows, where the loader looks for a bare name in the current folder, no bare name is loaded", () => {
  for (const place of ["", ".", "cuda", "\\cuda", "C:cuda", "/cuda"]) {
    const names = ["PATH", "CUDA_PATH", "CONDA_PREFIX", "VIRTUAL_ENV", "APPDATA", "LOCALAPPDATA", "ProgramFiles"]
    const environment = Object.fromEntries(names.map((name) => [name, place]))
    const machine = { ...machineOf("win32", environment), exists: () => true, children: () => ["Python313", "v13.0"] }
    assert.deepEqual(toolkitCandidates(machine, file, 13), [])
  }
  const none = machineOf("win32")
  assert.deepEqual(driverLibraries(none), ["C:\\Windows\\System32\\nvcuda.dll"])
  assert.deepEqual(driverLibraries(machineOf("win32", { SystemRoot: "D:\\Win" })), ["D:\\Win\\System32\\nvcuda.dll"])
  assert.deepEqual(driverLibraries(machineOf("win32", { SystemRoot: "Win" })), driverLibraries(none))
})

test("macOS and others have no CUDA driver", () => {
  assert.deepEqual(driverLibraries(machineOf("darwin")), [])
  assert.deepEqual(driverLibraries(machineOf("freebsd")), [])
})

test("the places that a message names are the platform's", () => {
  const [ofWindows, ofLinux] = [toolkitPlaces(machineOf("win32")), toolkitPlaces(machineOf("linux"))]
  assert.match(ofWindows, /PATH, .+ProgramFiles.+LOCALAPPDATA/)
  assert.doesNotMatch(ofWindows, /\/usr|~/)
  assert.match(ofLinux, /\/usr\/local\/cuda.+~\/\.local/)
})

test("the headers are those beside the compiler, in each layout, or else the first there are", () => {
  const header = "cuda_fp16.h"
  const layouts: [path: string | undefined, include: string, environment?: Record<string, string>][] = [
    ["/cuda/lib64/libnvrtc.so.13", "/cuda/include"],
    ["/cuda/targets/x86_64-linux/lib/libnvrtc.so.13", "/cuda/include"],
    ["/conda/lib/libnvrtc.so.13", "/conda/targets/x86_64-linux/include"],
    ["/site-packages/nvidia/cu13/lib/libnvrtc.so.13", "/site-packages/nvidia/cu13/include"],
    ["/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "/site-packages/nvidia/cuda_runtime/include"],
    [undefined, "/usr/local/cuda/include"],
    [undefined, "/cuda/include", { CUDA_HOME: "/cuda" }],
  ]
  for (const [path, include, environment = {}] of layouts) {
    assert.deepEqual(includeFolders(machineOf("linux", environment, [`${include}/${header}`]), path), [include])
    const withStandard = machineOf("linux", environment, [`${include}/${header}`, `${include}/cccl/cuda/std/array`])
    assert.deepEqual(includeFolders(withStandard, path), [include, `${include}/cccl`])
  }
  for (const [path, include] of [
    ["C:\\CUDA\\v13.0\\bin\\x64\\nvrtc64_130_0.dll", "C:\\CUDA\\v13.0\\include"],
    ["C:\\CUDA\\v12.9\\bin\\nvrtc64_120_0.dll", "C:\\CUDA\\v12.9\\include"],
    ["C:\\site-packages\\nvidia\\cu13\\bin\\x86_64\\nvrtc64_130_0.dll", "C:\\site-packages\\nvidia\\cu13\\include"],
    ["C:\\conda\\Library\\bin\\nvrtc64_120_0.dll", "C:\\conda\\Library\\include\\targets\\x64"],
  ] as const) {
    assert.deepEqual(includeFolders(machineOf("win32", {}, [`${include}\\${header}`]), path), [include])
  }
  assert.deepEqual(includeFolders(machineOf("linux"), undefined), [])
})

test("NVRTC's builtins are named as CUDA names them", () => {
  assert.equal(builtinsName(machineOf("linux"), "13.0"), "libnvrtc-builtins.so.13.0")
  assert.equal(builtinsName(machineOf("win32"), "12.9"), "nvrtc-builtins64_129.dll")
})
