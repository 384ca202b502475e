import type { MediaKind } from '../contract/index.js';
import type { EmulatorSwitches } from './switches.js';

interface Param {
  readonly key: string;
  readonly type: 'select' | 'number' | 'text';
  readonly default?: string | number;
  readonly options?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

const select = (key: string, ...options: readonly string[]): Param => {
  return { key, type: 'select', ...(options[0] !== undefined && { default: options[0] }), options };
};

export interface Model {
  readonly id: string;
  readonly name: string;
  readonly category: MediaKind | 'chat';
  readonly credits: number;
  readonly billing: 'FIXED' | 'METERED' | 'TOKEN_BASED';
  readonly modes: readonly string[];
  /** Characters; null where the model's page names no limit. */
  readonly maxPrompt: number | null;
  readonly inputs: readonly ('text' | 'file')[];
  /** Largest reference in bytes, where the model's page names another limit than the page of files. */
  readonly maxFile?: Partial<Record<MediaKind, number>>;
  /** From the model's page, where all of them could be read. */
  readonly params?: readonly Param[];
  /** Models whose page says that `params` is required. */
  readonly needsParams?: boolean;
}

const text = ['text'] as const;
const file = ['text', 'file'] as const;
const toImage = ['text-to-image'];
const imageBoth = ['text-to-image', 'image-to-image'];
const videoBoth = ['text-to-video', 'image-to-video'];
const fixed = { billing: 'FIXED' } as const;
const metered = { billing: 'METERED' } as const;
const tokens = { category: 'chat', billing: 'TOKEN_BASED', modes: ['chat'], maxPrompt: 20_000 } as const;

/** Some of the public models, with price and prompt limit from their own pages. */
// prettier-ignore
export const MODELS: readonly Model[] = [
  { id: 'z-image', name: 'Z-Image', category: 'image', credits: 1, ...fixed, modes: toImage, maxPrompt: 1000, inputs: text, params: [select('aspect_ratio', '1:1', '4:3', '3:4', '16:9', '9:16')] },
  { id: '4o-image', name: '4o Image', category: 'image', credits: 3, ...fixed, modes: toImage, maxPrompt: null, inputs: text },
  { id: 'nano-banana-2', name: 'Nano Banana 2', category: 'image', credits: 5, ...fixed, modes: imageBoth, maxPrompt: 20_000, inputs: file, maxFile: { image: 30 * 1024 * 1024 } },
  { id: 'gpt-image-2', name: 'GPT Image 2', category: 'image', credits: 3, ...fixed, modes: imageBoth, maxPrompt: 20_000, inputs: file },
  { id: 'qwen2-image', name: 'Qwen2 Image', category: 'image', credits: 6, ...fixed, modes: imageBoth, maxPrompt: 800, inputs: file },
  { id: 'sora-2', name: 'Sora 2', category: 'video', credits: 6, ...fixed, modes: videoBoth, maxPrompt: 10_000, inputs: file, params: [select('n_frames', '10', '15'), select('aspect_ratio', 'landscape', 'portrait'), select('remove_watermark', 'true', 'false'), select('upload_method', 's3', 'oss')] },
  { id: 'veo3-1-lite', name: 'Veo 3.1 Lite', category: 'video', credits: 10, ...fixed, modes: videoBoth, maxPrompt: 5000, inputs: file },
  { id: 'runway', name: 'Runway', category: 'video', credits: 12, ...fixed, modes: videoBoth, maxPrompt: 1800, inputs: file },
  { id: 'kling-2-6', name: 'Kling 2.6', category: 'video', credits: 55, ...fixed, modes: videoBoth, maxPrompt: 1000, inputs: file },
  { id: 'suno-music', name: 'Suno Music', category: 'audio', credits: 12, ...fixed, modes: ['text-to-music'], maxPrompt: 500, inputs: text },
  { id: 'elevenlabs-sound-effect-v2', name: 'ElevenLabs Sound Effect v2', category: 'audio', credits: 3, ...metered, modes: ['text-to-audio'], maxPrompt: 5000, inputs: text, params: [select('loop', 'false', 'true'), { key: 'duration_seconds', type: 'number', default: 3, min: 0.5, max: 22 }, { key: 'prompt_influence', type: 'number', default: 0.3, min: 0, max: 1 }, select('output_format', 'mp3_44100_128')] },
  { id: 'elevenlabs-turbo-2-5', name: 'ElevenLabs Turbo 2.5', category: 'audio', credits: 6, ...metered, modes: ['text-to-speech'], maxPrompt: 5000, inputs: text, needsParams: true },
  { id: 'gemini-2-5-flash-chat', name: 'Gemini 2.5 Flash', credits: 1, ...tokens, inputs: file },
  { id: 'gpt-5-2-chat', name: 'GPT-5.2', credits: 3, ...tokens, inputs: file },
  { id: 'claude-sonnet-4-6-chat', name: 'Claude Sonnet 4.6', credits: 4, ...tokens, inputs: text },
];

export function findModel(id: string): Model | undefined {
  return MODELS.find((model) => model.id === id);
}

type ListSwitches = Pick<EmulatorSwitches, 'modelParams' | 'modelList'>;

const PAGE = 5;

/** Params as the switch has them: no page shows them in the list. */
function paramsOf({ params = [] }: Model, form: ListSwitches['modelParams']): object {
  if (form === 'none') return [];
  if (form === 'key') return params;
  if (form === 'other') return Object.fromEntries(params.map(({ key, ...param }) => [key, param]));
  if (form === 'id') return params.map(({ key, ...param }) => ({ id: key, name: titleOf(key), ...param }));
  return params.map(({ key, options, ...param }) => {
    return { name: key, ...param, ...(options && { options: options.map((value) => ({ label: value, value })) }) };
  });
}

/** The words for people of a param: one word looks like a key. */
const titleOf = (key: string): string => key.replaceAll('_', ' ');

/** Body of `GET /api/v1/models`. */
export function modelList({ modelParams, modelList: extent }: ListSwitches): object {
  const listed = extent === 'whole' ? MODELS : MODELS.slice(0, PAGE);
  return {
    object: 'list',
    ...(extent === 'firstPage' && { has_more: true }),
    data: listed.map((model) => ({
      id: model.id,
      display_name: model.name,
      category: model.category,
      runtime: model.category === 'chat' ? 'chat' : 'async_task',
      base_credits: model.credits,
      billing_type: model.billing,
      supported_modes: model.modes,
      max_prompt_length: model.maxPrompt,
      reference_media: null,
      params: paramsOf(model, modelParams),
      api_status: 'available',
      api_input_status: model.inputs.includes('file') ? 'partial_requires_files' : 'available_text',
      supported_api_inputs: model.inputs,
      requires_files_api: false,
      requires_upload_for_modes: model.modes.filter((mode) => mode.startsWith('image-')),
      url_input_supported: false,
      file_kinds: model.inputs.includes('file') ? ['image'] : [],
      chat_capabilities: null,
      notices: [],
    })),
  };
}
