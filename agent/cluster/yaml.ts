import yaml from 'yaml'

/** YAML or JSON, as plain values. @throws Error with a message of one line */
export function parseAll(text: string): unknown[] {
  return yaml.parseAllDocuments(text).map((document) => {
    const [error] = document.errors
    if (error) throw new Error(error.message.split('\n')[0])
    return document.toJS()
  })
}

/** The first document; undefined where there is none. */
export function parseOne(text: string): unknown {
  return parseAll(text)[0]
}
