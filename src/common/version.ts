/** The package's version, for files that the library writes. A test compares it with `package.json`. */
export const VERSION = "0.1.0"
