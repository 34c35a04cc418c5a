import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { toolkitLibrary } from "../../src/cuda/toolkit/toolkit-library.js"
import { AuxstreamError } from "../../src/common/errors.js"
import { withEnvironment } from "../support/environment.js"
import { kernel, onDouble, open, thrownBy } from "./device.js"
import { doublePath } from "./double.js"

let root = ""
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "auxstream-toolkit-"))
})
afterEach(() => rmSync(root, { recursive: true }))

/** A library of the double's in this folder, by another name. */
function put(...path: string[]): string {
  const file = join(root, ...path)
  mkdirSync(dirname(file), { recursive: true })
  copyFileSync(doublePath ?? "", file)
  return file
}

const isLoaded = (file: string): boolean => readFileSync("/proc/self/maps", "utf8").includes(` ${file}\n`)

const wanted = {
  file: {
    13: { linux: "libmine.so.13", windows: "mine_13.dll" },
    12: { linux: "libmine.so.12", windows: "mine_12.dll" },
  },
  variable: "TEST_LIBMINE",
  needs: (name: string) => name.replace("mine", "mineLt"),
  make: (_: unknown, file: string | undefined) => file,
  missing: (where: string) => new AuxstreamError("AUX_KERNEL_UNAVAILABLE", `mine ${where}`),
}

onDouble("a library of the toolkit", () => {
  test("is loaded after the one beside it that it needs, where the loader would not look for that", () => {
    const [file, needed] = [put("lib64", "libmine.so.13"), put("lib64", "libmineLt.so.13")]
    const found = withEnvironment({ CUDA_PATH: root, TEST_LIBMINE: "" }, () => toolkitLibrary(wanted)(13))
    assert.equal(found, file)
    assert.ok(isLoaded(needed))
  })

  test("found through a link has its companion beside the file itself", () => {
    const [file, needed] = [put("real", "libmine.so.13"), put("real", "libmineLt.so.13")]
    symlinkSync(file, join(root, "libmine.so.13"))
    withEnvironment({ TEST_LIBMINE: join(root, "libmine.so.13") }, () => toolkitLibrary(wanted)(13))
    assert.ok(isLoaded(needed))
  })

  test("that exists and cannot be loaded is named, with the reason", () => {
    mkdirSync(join(root, "lib"))
    writeFileSync(join(root, "lib", "libmine.so.12"), "no library")
    withEnvironment({ CUDA_PATH: root, TEST_LIBMINE: "" }, () => {
      const error = thrownBy(() => toolkitLibrary(wanted)(13))
      assert.match(
        String(error),
        /cannot be loaded from .+lib\/libmine\.so\.12 \(.+\), and was not found in the loader's path/,
      )
    })
  })

  test("in the current folder is not loaded, whichever variables name that folder", () => {
    const planted = [
      put("lib64", "libmine.so.13"),
      put(".local/lib/python3.12/site-packages/nvidia/cu13/lib", "libmine.so.13"),
    ]
    const before = process.cwd()
    process.chdir(root)
    try {
      for (const place of ["", "."]) {
        const environment = { HOME: place, CUDA_PATH: place, CUDA_HOME: place, VIRTUAL_ENV: place, TEST_LIBMINE: "" }
        withEnvironment(environment, () => thrownBy(() => toolkitLibrary(wanted)(13)))
      }
    } finally {
      process.chdir(before)
    }
    assert.deepEqual(planted.filter(isLoaded), [])
  })

  test("NVRTC finds its builtins beside itself", () => {
    const [file, builtins] = [put("libnvrtc.so.13"), put("libnvrtc-builtins.so.13.0")]
    const path = process.env["AUXSTREAM_LIBNVRTC"] ?? ""
    process.env["AUXSTREAM_LIBNVRTC"] = file
    try {
      using driver = open()
      driver.kernels.load({ ...kernel("test_noop", []) })
    } finally {
      process.env["AUXSTREAM_LIBNVRTC"] = path
    }
    assert.ok(isLoaded(builtins))
  })

  test("compiling needs no home folder: a user id without an account has none", () => {
    const url = new URL("./device.js", import.meta.url).href
    const program = `
      import os from "node:os"
      import { syncBuiltinESMExports } from "node:module"
      os.homedir = () => { throw new Error("uv_os_homedir returned ENOENT") }
      syncBuiltinESMExports()
      const { open, kernel } = await import("${url}")
      delete process.env.AUXSTREAM_CACHE_DIR
      delete process.env.XDG_CACHE_HOME
      const driver = open()
      driver.kernels.load(kernel("test_noop", []))
      await driver.kernels.prepare({ ...kernel("test_noop", []) })
      delete process.env.AUXSTREAM_LIBNVRTC
      try { driver.kernels.load({ ...kernel("test_noop", []) }) } catch (error) { console.log(error.code) }
      driver.close()`
    const result = spawnSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" })
    assert.equal(result.status, 0, result.stderr)
    assert.match(result.stdout, /^(AUX_KERNEL_UNAVAILABLE)?$/m)
  })
})
