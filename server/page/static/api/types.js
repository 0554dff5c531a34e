// Types of the API, for the checker alone.

/**
 * @typedef {object} ModelDetails
 * @property {string} format
 * @property {string} family
 * @property {string} parameter_size
 * @property {string} quantization_level
 * @property {string} parent_model
 * @property {number} [context_length]
 * @property {number} [embedding_length]
 */

/**
 * @typedef {object} InstalledModel an entry of /api/tags
 * @property {string} name
 * @property {number} size
 * @property {string} digest
 * @property {string} modified_at
 * @property {ModelDetails} details
 * @property {string[]} [capabilities]
 */

/**
 * @typedef {object} LoadedModel an entry of /api/ps
 * @property {string} name
 * @property {number} size
 * @property {number} size_vram
 * @property {string} expires_at
 * @property {number} context_length
 * @property {ModelDetails} details
 */

/**
 * @typedef {object} Description the reply of /api/show
 * @property {string} [license]
 * @property {string} modelfile
 * @property {string} [parameters]
 * @property {string} [template]
 * @property {string} [system]
 * @property {ModelDetails} details
 * @property {Record<string, unknown>} model_info
 * @property {{name: string, type: string, shape: number[]}[]} [tensors]
 * @property {string[]} [capabilities]
 * @property {string} modified_at
 * @property {string} [renderer]
 * @property {string} [parser]
 */

/**
 * @typedef {object} ToolCall
 * @property {string} [id]
 * @property {{name: string, arguments: Record<string, unknown>}} function
 */

/**
 * @typedef {object} ChatEvent a line of /api/chat
 * @property {{role: string, content: string, thinking?: string, tool_calls?: ToolCall[]}} [message]
 * @property {{phase: string, ratio?: number}} [progress] before the first token
 * @property {boolean} done
 * @property {string} [done_reason]
 * @property {number} [total_duration]
 * @property {number} [load_duration]
 * @property {number} [prompt_eval_count]
 * @property {number} [prompt_eval_duration]
 * @property {number} [eval_count]
 * @property {number} [eval_duration]
 * @property {boolean} [prompt_truncated]
 * @property {number} [prompt_tokens_dropped]
 */

/**
 * @typedef {object} Progress a line of /api/pull and /api/create
 * @property {string} status
 * @property {string} [digest]
 * @property {number} [total]
 * @property {number} [completed]
 */

export {};
