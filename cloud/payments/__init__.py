"""Payment providers behind one port (`cloud.payments.base`)."""
