/** Mounts the viewer; everything else is in `App.svelte` and below. */

import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';

mount(App, { target: document.body });
