import type { Machine } from "../../src/cuda/native/machine.js"

/** A machine with these environment variables and files. Its environment names its home folder. */
export function machineOf(
  platform: NodeJS.Platform,
  environment: Readonly<Record<string, string>> = {},
  files: readonly string[] = [],
): Machine {
  const separator = platform === "win32" ? "\\" : "/"
  const isAt = (file: string, path: string): boolean => file === path || file.startsWith(path + separator)
  return {
    platform,
    environment,
    home: environment[platform === "win32" ? "USERPROFILE" : "HOME"],
    exists: (path) => files.some((file) => isAt(file, path)),
    children(folder) {
      const inside = files.filter((file) => file.startsWith(folder + separator))
      const names = inside.map((file) => file.slice(folder.length + 1).split(separator)[0] ?? "")
      return [...new Set(names)].sort()
    },
  }
}
