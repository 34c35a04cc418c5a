import { readdirSync } from "node:fs"
import { join } from "node:path"
import { npm } from "../lib/project.mjs"
import { execute } from "./archive.mjs"

/** Fetches a package without installing it: npm refuses to install one of another platform. Returns its folder. */
export function fetchPackage(spec, folder) {
  const failed = npm(["pack", spec, "--silent", "--pack-destination", folder])
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"))
  if (failed || tarball === undefined) throw new Error(`Could not fetch ${spec} from the npm registry`)
  execute("tar", ["-C", folder, "-xzf", join(folder, tarball)])
  return join(folder, "package")
}
