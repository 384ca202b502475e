/**
 * The input of a chat: what is allowed, its defaults, and the body of its request. It guarantees that a wrong input is
 * refused by the name of its field. `rivyaChat`, the step `chat` and the command call it.
 */
import { REASONING_EFFORTS } from '../contract/index.js';
import { jsonBytes } from './body.js';
import { InvalidInput, onlyKnown, record, text } from './fields.js';
import { readInput, SHARED_OPTIONS, type Generation } from './input.js';

/** A checked chat with every default filled in. */
export type Chat = Omit<Generation, 'taskId' | 'maxAttempts' | 'deadlineMs'>;

const MESSAGE = ['model', 'message', 'sessionId', 'session', 'attachments', 'enableWebSearch', 'reasoningEffort'];
const FIELDS = [...MESSAGE, 'clientRequestId', 'labels', 'options'];

// From the pages of the chat models.
const MESSAGE_LENGTH = 20_000;
// The format is not published; the examples have about 20 characters.
const ID_LENGTH = 256;
// No number is published. Far above what the models' pages show for references, which is 16.
const ATTACHMENTS = 20;
// Temporal carries 2 MB; a Workflow may pass an answer on beside other values.
const CONTENT_BYTES = 1_000_000;

/**
 * Checks the input of a chat and fills in the defaults. Null counts as left out, because other languages send it so.
 * @throws InvalidInput
 */
export function readChat(input: unknown): Chat {
  const fields = record(input, 'input');
  onlyKnown(fields, FIELDS, '');
  const given = fields['options'] === undefined ? {} : record(fields['options'], 'options');
  onlyKnown(given, SHARED_OPTIONS, 'options.');
  const message = text(fields['message'], 'message');
  if (message === null) throw new InvalidInput('message', 'is missing');
  if ([...message].length > MESSAGE_LENGTH) {
    throw new InvalidInput('message', `is longer than ${MESSAGE_LENGTH} characters, which is what chat models take`);
  }
  // The other fields that both have mean the same in a chat as in a generation.
  const { clientRequestId, labels } = fields;
  const shared = { model: fields['model'], prompt: message, clientRequestId, labels, options: given };
  const { taskId: _, maxAttempts: __, deadlineMs: ___, ...chat } = readInput(shared);
  const sessionId = readSession(fields['sessionId'], fields['session']);
  const attachments = readAttachments(fields['attachments']);
  const webSearch = fields['enableWebSearch'];
  if (webSearch !== undefined && typeof webSearch !== 'boolean') {
    throw new InvalidInput('enableWebSearch', 'must be true or false');
  }
  const effort = fields['reasoningEffort'];
  if (effort !== undefined && !REASONING_EFFORTS.some((known) => known === effort)) {
    throw new InvalidInput('reasoningEffort', `must be one of ${REASONING_EFFORTS.join(', ')}`);
  }
  // The order of the fields never changes: the bytes are the same in every release (`test/golden`).
  const body = JSON.stringify({
    model: chat.model,
    message,
    ...(sessionId !== null && { session_id: sessionId }),
    ...(attachments.length > 0 && { attachments: attachments.map((id) => ({ file_id: id })) }),
    ...(webSearch !== undefined && { enable_web_search: webSearch }),
    ...(effort !== undefined && { reasoning_effort: effort }),
    ...(clientRequestId !== undefined && { client_request_id: clientRequestId }),
  });
  return { ...chat, body };
}

function readSession(sessionId: unknown, session: unknown): string | null {
  if (session === undefined) return text(sessionId, 'sessionId', ID_LENGTH);
  if (sessionId !== undefined) throw new InvalidInput('session', 'cannot go with sessionId; give one of the two');
  const id = text(record(session, 'session')['sessionId'], 'session.sessionId', ID_LENGTH);
  if (id !== null) return id;
  throw new InvalidInput('session.sessionId', 'is missing: that answer named no session to go on with');
}

function readAttachments(value: unknown): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new InvalidInput('attachments', 'must be an array');
  if (value.length > ATTACHMENTS) throw new InvalidInput('attachments', `has more than ${ATTACHMENTS} entries`);
  return value.map((item: unknown, index) => {
    const field = `attachments[${index}]`;
    const attachment = record(item, field);
    onlyKnown(attachment, ['fileId'], `${field}.`);
    const fileId = text(attachment['fileId'], `${field}.fileId`, ID_LENGTH);
    if (fileId === null) throw new InvalidInput(`${field}.fileId`, 'is missing');
    if (fileId.includes('://')) {
      throw new InvalidInput(`${field}.fileId`, 'is an address; a chat takes images that were uploaded, by their ID');
    }
    return fileId;
  });
}

/** The part of a text that a history carries: its first megabyte, as JSON in UTF-8. */
export function carriedContent(content: string): string {
  if (jsonBytes(content) <= CONTENT_BYTES) return content;
  let [fits, above] = [0, Math.min(content.length, CONTENT_BYTES)];
  while (above - fits > 1) {
    const middle = Math.floor((fits + above) / 2);
    if (jsonBytes(content.slice(0, middle)) <= CONTENT_BYTES) fits = middle;
    else above = middle;
  }
  const cut = content.slice(0, fits);
  // The cut must not split a character.
  return cut.isWellFormed() ? cut : content.slice(0, fits - 1);
}
