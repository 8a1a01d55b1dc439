"""The page in the browser, for people who do not program: scans are dropped on it, measured by `hypojax.run`, and shown.

One process serves (`hypojax.app.app_server`). Every request passes a guard first (`hypojax.app.guard`). A visitor has a session, a
private folder with her uploads and a cohort of her own (`hypojax.app.visits`). Nothing is imported here, so that ``hypojax --help`` does
not wait for Gradio.
"""
