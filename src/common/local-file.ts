/** Files that the user names by a `file:` URL or an absolute path. A relative path would have no base. */
import { accessSync, constants, statSync } from "node:fs"
import { isAbsolute } from "node:path"
import { fileURLToPath, pathToFileURL, URL } from "node:url"

/** Builds the error from the reason, and from the system's error if there is one. */
type Fault = (reason: string, cause?: unknown) => Error

/** The URL of a file or folder, which need not exist. `what` begins the message if the name is invalid. */
export function localUrl(given: URL | string, what: string, fault: Fault): URL {
  const text = typeof given === "string" ? given : given.href
  if (text.startsWith("file:") && URL.canParse(text)) return new URL(text)
  if (isAbsolute(text)) return pathToFileURL(text)
  throw fault(
    `${what} ${JSON.stringify(text)} is neither a file: URL nor an absolute path, and auxstream cannot know what it is ` +
      "relative to: write new URL(..., import.meta.url)",
  )
}

/** The path that a file's URL names. */
export function localPath(url: URL, fault: Fault): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw fault(`${url.href} does not name a file`, error)
  }
}

/** Throws unless the file exists and can be read. */
export function checkFile(path: string, fault: Fault): void {
  if (!isReadable(path, fault)) throw fault(`there is no file ${path}`)
}

function isReadable(path: string, fault: Fault): boolean {
  try {
    const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true
    if (isFile) accessSync(path, constants.R_OK)
    return isFile
  } catch (error) {
    throw fault(`its file cannot be read: ${error instanceof Error ? error.message : ""}`, error)
  }
}
